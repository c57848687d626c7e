"""The data set on disk: the formats of the public downloads, the same bytes always, nothing half done."""

import json
import runpy
import sys
import zipfile

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from transformers import BertTokenizerFast

from soho.datasets.synthetic import SIZES, generate, generate_synthetic
from soho.paths import TOOLS

COUNTS = vars(SIZES['tiny'])
COCO_SPLITS = ('train2014', 'val2014', 'test2015')


@pytest.fixture(scope='module')
def synthetic(tmp_path_factory):
    root = tmp_path_factory.mktemp('synthetic')
    generate_synthetic(root)
    return root


def load(path):
    return json.loads(path.read_text())


def contents(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob('*') if path.is_file()}


def test_pictures_are_readable_jpegs_of_the_size_written_beside_them(synthetic):
    for split in ('train2014', 'val2014'):
        images = load(synthetic / f'annotations/captions_{split}.json')['images']
        assert images == load(synthetic / f'annotations/instances_{split}.json')['images']
        with zipfile.ZipFile(synthetic / f'{split}.zip') as archive:
            assert archive.namelist() == [f'{split}/{image["file_name"]}' for image in images]
            for image in images:
                data = np.frombuffer(archive.read(f'{split}/{image["file_name"]}'), np.uint8)
                assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (image['height'], image['width'], 3)
        assert len(images) == COUNTS[split]
    listed = load(synthetic / 'annotations/image_info_test2015.json')['images']
    assert len(zipfile.ZipFile(synthetic / 'test2015.zip').namelist()) == COUNTS['test2015'] == len(listed)
    assert images[0]['file_name'].startswith('COCO_val2014_0000')


def test_captions_name_existing_images_five_times_each(synthetic):
    for split in ('train2014', 'val2014'):
        file = load(synthetic / f'annotations/captions_{split}.json')
        assert {'info', 'licenses', 'images', 'annotations'} <= set(file)
        owners = [annotation['image_id'] for annotation in file['annotations']]
        assert sorted(owners) == sorted([image['id'] for image in file['images']] * 5)
        assert len({annotation['id'] for annotation in file['annotations']}) == len(owners)
    assert not (synthetic / 'annotations/captions_test2015.json').exists()


def test_pycocotools_reads_the_instances_and_finds_the_areas_and_boxes(synthetic):
    coco = COCO(synthetic / 'annotations/instances_train2014.json')
    scenes = {scene['image_id']: scene for scene in load(synthetic / 'scenes_train2014.json')}
    kinds = set()
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation)
        # A polygon's outermost pixels are counted differently by OpenCV and by COCO.
        assert mask.sum() == pytest.approx(annotation['area'], rel=0.12)
        ys, xs = np.nonzero(mask)
        box = [xs.min(), ys.min(), xs.max() + 1 - xs.min(), ys.max() + 1 - ys.min()]
        assert box == pytest.approx(annotation['bbox'], abs=3)
        kinds.add(type(annotation['segmentation']))
        shapes = [obj['shape'] for obj in scenes[annotation['image_id']]['objects']]
        assert coco.cats[annotation['category_id']]['name'] in shapes
    assert kinds == {list, dict}
    assert len(coco.cats) == 6 and all(category['supercategory'] for category in coco.cats.values())


def test_questions_and_annotations_belong_together(synthetic):
    total = 0
    for split in COCO_SPLITS:
        questions = load(synthetic / f'v2_OpenEnded_mscoco_{split}_questions.json')
        answers = load(synthetic / f'v2_mscoco_{split}_annotations.json')
        assert questions['task_type'] == 'Open-Ended'
        assert questions['data_subtype'] == answers['data_subtype'] == split
        by_id = {annotation['question_id']: annotation for annotation in answers['annotations']}
        assert [question['question_id'] for question in questions['questions']] == list(by_id)
        for question in questions['questions']:
            annotation = by_id[question['question_id']]
            assert annotation['image_id'] == question['image_id']
            assert annotation['answer_type'] in ('yes/no', 'number', 'other')
            given = [entry['answer'] for entry in annotation['answers']]
            assert given.count(annotation['multiple_choice_answer']) >= 4
        total += len(by_id)
    assert total > 5 * sum(COUNTS[split] for split in COCO_SPLITS)


def test_visual_genome_shares_pictures_with_every_coco_split(synthetic):
    images = load(synthetic / 'image_data.json')
    regions = load(synthetic / 'region_descriptions.json')
    assert [image['image_id'] for image in images] == [entry['id'] for entry in regions]
    coco_ids = {
        scene['image_id']: (split, scene['file_name'])
        for split in COCO_SPLITS
        for scene in load(synthetic / f'scenes_{split}.json')
    }
    shared = [(image, *coco_ids[image['coco_id']]) for image in images if image['coco_id'] is not None]
    assert {split for _, split, _ in shared} == set(COCO_SPLITS)
    assert len(images) - len(shared) == COUNTS['visual_genome']
    with zipfile.ZipFile(synthetic / 'images.zip') as genome:
        assert genome.namelist() == [f'{image["image_id"]}.jpg' for image in images]
        for image, split, name in shared:
            with zipfile.ZipFile(synthetic / f'{split}.zip') as archive:
                assert genome.read(f'{image["image_id"]}.jpg') == archive.read(f'{split}/{name}')
    for entry in regions:
        for region in entry['regions']:
            assert set(region) == {'region_id', 'image_id', 'phrase', 'x', 'y', 'width', 'height'}
            assert region['image_id'] == entry['id']


def test_every_training_word_is_one_piece(synthetic):
    tokenizer = BertTokenizerFast(vocab=str(synthetic / 'vocab.txt'))
    assert tokenizer.convert_ids_to_tokens(range(5)) == ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
    captions = load(synthetic / 'annotations/captions_train2014.json')['annotations']
    questions = load(synthetic / 'v2_OpenEnded_mscoco_train2014_questions.json')['questions']
    for text in [*(c['caption'] for c in captions), *(q['question'] for q in questions)]:
        pieces = tokenizer.tokenize(text)
        assert '[UNK]' not in pieces and not any(piece.startswith('##') for piece in pieces), text
    assert '[UNK]' not in tokenizer.tokenize('Unheard words can be spelled')


def test_workers_and_repetition_do_not_change_a_byte(synthetic, tmp_path, monkeypatch):
    monkeypatch.setattr(generate, '_MIN_PER_WORKER', 10)
    monkeypatch.setattr(generate, '_BLOCK', 20)
    generate_synthetic(tmp_path, workers=2)
    assert contents(tmp_path) == contents(synthetic)


def interrupt(*args):
    yield generate.make_record(0, 'train2014', 0)
    raise KeyboardInterrupt


def test_a_complete_data_set_is_left_alone_and_an_interrupted_one_is_made_anew(synthetic, tmp_path, monkeypatch):
    before = contents(synthetic)
    with monkeypatch.context() as patch:
        patch.setattr(generate, '_write', None)
        assert generate_synthetic(synthetic)['size'] == 'tiny'
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(generate, '_records', interrupt)
        generate_synthetic(tmp_path)
    assert contents(tmp_path) == {}
    (tmp_path / 'train2014.zip').write_bytes(b'half a zip')
    (tmp_path / 'vocab.txt').write_text('old')
    generate_synthetic(tmp_path)
    assert contents(tmp_path) == before


def test_another_data_set_in_the_folder_is_an_error(synthetic):
    with pytest.raises(ValueError, match='holds a data set of size tiny, seed 0, version .*, not of .* seed 1, '):
        generate_synthetic(synthetic, seed=1)
    with pytest.raises(ValueError, match="size 'huge' .* is not one of tiny, demo, large"):
        generate_synthetic(synthetic, size='huge')


def test_command_line_prints_a_summary_or_one_sentence(synthetic, monkeypatch, capsys):
    arguments = ['synthetic.py', '--size', 'tiny', '--out', str(synthetic)]
    monkeypatch.setattr(sys, 'argv', arguments)
    runpy.run_path(str(TOOLS / 'prepare/synthetic.py'), run_name='__main__')
    assert 'accuracy without the picture' in capsys.readouterr().out
    monkeypatch.setattr(sys, 'argv', [*arguments, '--seed', '5'])
    with pytest.raises(SystemExit, match='error: .* holds a data set of size tiny, seed 0'):
        runpy.run_path(str(TOOLS / 'prepare/synthetic.py'), run_name='__main__')
