"""Pretraining and VQA data sets: what a sample is, what it depends on, and what is wrong with a file."""

import json

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from soho.datasets.collate import collate
from soho.datasets.sample_key import SampleKey
from soho.datasets.samplers import AspectRatioBatchSampler, EpochSampler
from soho.datasets.storage.image_store import ImageDecodeError, ImageError, ImageMissingError
from soho.registry import DATASETS


class Keep:
    """A pipeline that keeps everything."""

    def __call__(self, results):
        return results


def get_annotation(dataset, index, *key):
    return dataset.get_annotation(index, SampleKey(*(key or (0, 0)), index).rng())


def pretrain(records, tmp_path, pipeline=(), **options):
    (tmp_path / 'captions.json').write_text(json.dumps(records))
    return DATASETS.build(
        dict(
            dict(
                type='PretrainDataset',
                ann_file='captions.json',
                images=None,
                data_root=str(tmp_path),
                pipeline=pipeline,
            ),
            **options,
        )
    )


def record(number, captions=1, **changes):
    """An image with so many captions, or with these."""
    if isinstance(captions, int):
        captions = [f'image {number} caption {i}' for i in range(captions)]
    return dict(dict(file_name=f'{number}.jpg', image_id=number, width=64, height=48, captions=captions), **changes)


def vqa_file(tmp_path, data, answers=('yes', 'no', 'red'), **changes):
    ans2label = {answer: label for label, answer in enumerate(answers)}
    content = dict(dict(data=data, ans2label=ans2label, label2ans=list(answers)), **changes)
    (tmp_path / 'vqa.json').write_text(json.dumps(content))


def vqa(tmp_path, data=None, **options):
    if data is not None:
        vqa_file(tmp_path, data)
    return DATASETS.build(
        dict(dict(type='VQADataset', ann_file='vqa.json', images=None, data_root=str(tmp_path), pipeline=[]), **options)
    )


def question(number, **changes):
    return dict(dict(question=f'what {number}?', question_id=number, labels=[2, 0], scores=[1.0, 0.3]), **changes)


def asked(number, *questions):
    return dict(file_name=f'{number}.jpg', image_id=number, width=64, height=48, vqa=list(questions))


class TestPretrain:
    def test_captions_come_in_groups_filled_up_from_the_same_image(self, tmp_path):
        dataset = pretrain([record(1, 7), record(2, 2)], tmp_path, sentence_group=3, replace_prob=0)
        assert len(dataset) == 4  # 3 + 3 + 1 captions, and 2
        own = [f'image 1 caption {i}' for i in range(7)]
        assert (
            get_annotation(dataset, 0)['sentences'] == own[:3] and get_annotation(dataset, 1)['sentences'] == own[3:6]
        )
        fills = [get_annotation(dataset, 2, 0, epoch)['sentences'] for epoch in range(40)]
        assert {tuple(fill[:1]) for fill in fills} == {('image 1 caption 6',)}
        assert {caption for fill in fills for caption in fill[1:]} == set(own)
        sample = get_annotation(dataset, 3)
        assert sample['itm_labels'].tolist() == [1, 1, 1] and sample['sentence_mask'].tolist() == [True] * 3

    @pytest.mark.parametrize('by_first', [False, True])
    def test_half_of_the_captions_are_another_images(self, tmp_path, by_first):
        # Images 1 and 1001 are one picture under two file names, as where COCO and Visual Genome share it.
        records = [record(i, 4) for i in range(20)] + [record(1001, 4, image_id='1')]
        dataset = pretrain(records, tmp_path, sentence_group=2, replace_by_first=by_first)
        replaced, captions = [], set()
        for index in range(len(dataset)):
            image = dataset.item_images[index, 0]
            own = {1, 1001} if image in (1, 20) else {image}
            for epoch in range(25):
                sample = get_annotation(dataset, index, 0, epoch)
                for sentence, matched in zip(sample['sentences'], sample['itm_labels']):
                    _, number, _, nth = sentence.split()
                    assert (int(number) in own) == bool(matched)
                    replaced.append(not matched)
                    captions.add((int(number), int(nth))) if not matched else None
        assert np.mean(replaced) == pytest.approx(0.5, abs=0.03)
        assert {nth for _, nth in captions} == ({0, 2} if by_first else {0, 1, 2, 3})
        assert {number for number, _ in captions} == {*range(20), 1001}

    def test_captions_are_swapped_within_their_own_file(self, tmp_path):
        for name, numbers in dict(a=range(4), b=range(100, 104)).items():
            (tmp_path / name).mkdir()
            (tmp_path / name / 'captions.json').write_text(json.dumps([record(i, 2) for i in numbers]))
        source = dict(type='PretrainDataset', ann_file='captions.json', images=None, pipeline=[], sentence_group=2)
        whole = DATASETS.build(
            dict(type='ConcatDataset', datasets=[dict(data_root=str(tmp_path / name), **source) for name in 'ab'])
        )
        assert len(whole) == 8 and len(whole.aspect_ratio) == 8
        for index in range(8):
            for epoch in range(20):
                sentences = whole[SampleKey(0, epoch, index)]['sentences']
                assert all((int(s.split()[1]) >= 100) == (index >= 4) for s in sentences)

    def test_nothing_is_drawn_in_test_mode(self, tmp_path):
        dataset = pretrain([record(1, 2), record(2, 2)], tmp_path, sentence_group=2, test_mode=True)
        for epoch in range(9):
            assert get_annotation(dataset, 1, 0, epoch)['sentences'] == ['image 2 caption 0', 'image 2 caption 1']

    def test_small_images_are_left_out_of_training_only(self, tmp_path):
        records = [record(1), record(2, width=31), record(3)]
        assert len(pretrain(records, tmp_path)) == 2
        assert len(pretrain(records, tmp_path, test_mode=True)) == 3

    @pytest.mark.parametrize(
        'records, message',
        [
            ([record(1, 0), record(2)], r'captions\.json: image 1\.jpg has no caption'),
            ([record(1), record(2, captions=['a', ' '])], r"image 2\.jpg has the caption ' '; a caption is a text"),
            ([record(1, captions=['a', None])], r'\(image_id 1\): captions\[1\] is None, where a text is expected'),
            ([record(1)], r'captions\.json has one image only: image-text matching'),
            ([record(1, 3), record(2, image_id=1)], r'captions\.json has one image only'),
            ([record(1, width=8)], r'captions\.json holds no usable sample: 1 images are smaller than 32 pixels'),
            ([], 'holds no usable sample'),
            (
                [record(1), dict(file_name='2.jpg', image_id=2, width=64, height=48)],
                r"Item 1 of the list in .*captions\.json has no key 'captions'",
            ),
            (dict(data=[]), r'captions\.json is an object where a list is expected'),
        ],
    )
    def test_what_is_wrong_with_the_file_is_said(self, records, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            pretrain(records, tmp_path)

    def test_broken_and_missing_files(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r'no file .*none\.json'):
            pretrain([], tmp_path, ann_file='none.json')
        whole = json.dumps([record(1), record(2)])
        (tmp_path / 'cut.json').write_text(whole[:-30])
        with pytest.raises(ValueError, match=r'cut\.json ends too early at line 1'):
            pretrain([], tmp_path, ann_file='cut.json')
        with pytest.raises(FileNotFoundError, match=r'the archive .*train2014\.zip, and neither exists'):
            pretrain([record(1), record(2)], tmp_path, images='train2014')


class TestVQA:
    def test_both_layouts_give_the_same_samples(self, tmp_path):
        grouped = [asked(1, question(11), question(12), question(13)), asked(2, question(21))]
        flat = [
            dict({key: image[key] for key in image if key != 'vqa'}, **q) for image in grouped for q in image['vqa']
        ]
        one, other = (vqa(tmp_path, data, sentence_group=2) for data in (grouped, flat))
        assert len(one) == len(other) == 3
        for index in range(3):
            a, b = get_annotation(one, index), get_annotation(other, index)
            assert a.keys() == b.keys() and a['sentences'] == b['sentences']
            assert all(np.array_equal(a[name], b[name]) for name in a if name != 'sentences')

    def test_groups_are_ragged(self, tmp_path):
        dataset = vqa(
            tmp_path, [asked(1, question(11), question(12, labels=[], scores=[]), question(13))], sentence_group=2
        )
        first, second = get_annotation(dataset, 0), get_annotation(dataset, 1)
        assert first['sentences'] == ['what 11?', 'what 12?'] and second['sentences'] == ['what 13?', '']
        assert first['question_id'].tolist() == [11, 12] and second['question_id'].tolist() == [13, -1]
        assert first['sentence_mask'].tolist() == [True, True] and second['sentence_mask'].tolist() == [True, False]
        assert first['answer_labels'].tolist() == [[2, 0], [-1, -1]]
        assert second['answer_scores'].tolist() == [[1.0, pytest.approx(0.3)], [0.0, 0.0]]

    def test_the_first_label_is_the_one_with_the_highest_score(self, tmp_path):
        dataset = vqa(tmp_path, [asked(1, question(11, labels=[0, 2, 1], scores=[0.3, 0.6, 0.6]))])
        found = get_annotation(dataset, 0)
        assert found['answer_labels'].tolist() == [[2, 1, 0]]
        assert found['answer_scores'].tolist() == [pytest.approx([0.6, 0.6, 0.3])]

    def test_a_test_file_without_answers(self, tmp_path):
        bare = [
            dict(file_name='1.jpg', image_id=1, width=64, height=48, question=f'q{i}', question_id=i) for i in range(3)
        ]
        dataset = vqa(tmp_path, bare, sentence_group=2, test_mode=True)
        assert [get_annotation(dataset, i)['question_id'].tolist() for i in range(2)] == [[0, 1], [2, -1]]
        assert (get_annotation(dataset, 0)['answer_labels'] == -1).all()
        assert dataset.metainfo == dict(class_names=['yes', 'no', 'red'])

    def test_questions_without_a_listed_answer_are_kept_unless_asked(self, tmp_path):
        data = [
            asked(1, question(11), question(12, labels=[], scores=[])),
            asked(2, question(21, labels=[], scores=[])),
        ]
        assert len(vqa(tmp_path, data)) == 3
        assert [
            vqa(tmp_path, data, skip_unanswerable=True, test_mode=mode).question_ids.tolist() for mode in (False, True)
        ] == [[11], [11, 12, 21]]

    def test_an_answer_list_written_as_an_object(self, tmp_path):
        vqa_file(tmp_path, [asked(1, question(11))], label2ans={'0': 'yes', '1': 'no', '2': 'red'})
        assert vqa(tmp_path).metainfo['class_names'] == ['yes', 'no', 'red']

    @pytest.mark.parametrize(
        'questions, message',
        [
            ([question(11, labels=[3, 0])], r'vqa\.json: question 11 has the label 3, .* has 3 answers \(0 to 2\)'),
            ([question(11, labels=[-1, 0])], 'question 11 has the label -1'),
            (
                [question(11), question(12, scores=[1.0])],
                'question 12 has 2 labels but 1 scores; there must be as many of each',
            ),
            ([question(11, question='  ')], 'question 11 is empty'),
            ([question(11, question=None)], r'vqa\[0\]\.question is None, where a text is expected'),
            ([dict(question='a?')], r"vqa\[0\] has no key 'question_id'; it has 'question'"),
            ([dict(question_id=5)], r"vqa\[0\] has no key 'question'; it has 'question_id'"),
            ([], 'holds no usable sample'),
        ],
    )
    def test_what_is_wrong_with_a_question_is_said(self, questions, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            vqa(tmp_path, [asked(1, *questions)])

    def test_what_is_wrong_with_the_file_is_said(self, tmp_path):
        (tmp_path / 'vqa.json').write_text(json.dumps(dict(data=[], label2ans=[])))
        with pytest.raises(ValueError, match=r"vqa\.json has no key 'ans2label'"):
            vqa(tmp_path)
        vqa_file(tmp_path, [dict(image_id=1, width=64, height=64)])
        with pytest.raises(ValueError, match=r"Item 0 of 'data' in .* has no key 'file_name'"):
            vqa(tmp_path)


def test_mirror_images_of_the_answers(tmp_path):
    answers = ('left', 'red', 'on the right', 'right')
    vqa_file(tmp_path, [asked(1, question(1))], answers=answers)
    assert get_annotation(vqa(tmp_path), 0)['mirrored_answers'].tolist() == [3, 1, -1, 0, -1]


@pytest.fixture
def pictures(tmp_path):
    """Six grey pictures, of which 2.jpg is cut short, 3.jpg is no picture and 5.jpg is missing."""
    for i in range(5):
        cv2.imwrite(str(tmp_path / f'{i}.jpg'), np.full((48, 64, 3), 40 * (i + 1), np.uint8))
    data = (tmp_path / '2.jpg').read_bytes()
    (tmp_path / '2.jpg').write_bytes(data[: len(data) // 2])
    (tmp_path / '3.jpg').write_text('no picture')
    return tmp_path


def with_pictures(folder, limit, test_mode=False):
    options = dict(images='.', pipeline=[dict(type='LoadImage'), Keep()], max_broken_images=limit, test_mode=test_mode)
    return pretrain([record(i) for i in range(6)], folder, sentence_group=1, replace_prob=0, **options)


class TestBrokenImages:
    @pytest.mark.parametrize(
        'index, error, message',
        [
            (2, ImageDecodeError, r'image 2\.jpg of .*; max_broken_images=0 of the dataset .*captions\.json lets none'),
            (3, ImageDecodeError, r'image 3\.jpg of '),
            (5, ImageMissingError, r'has no image 5\.jpg; near it are 3\.jpg, 4\.jpg'),
        ],
    )
    def test_are_an_error_by_default(self, pictures, index, error, message):
        dataset = with_pictures(pictures, 0)
        for _ in range(2):
            with pytest.raises(error, match=message):
                dataset[index]

    def test_another_sample_stands_in_under_the_limit(self, pictures):
        dataset = with_pictures(pictures, 3)
        for _ in range(3):  # epochs: a picture is counted once
            names = [dataset[i]['file_name'] for i in range(6)]
            assert names == ['0.jpg', '1.jpg', '4.jpg', '4.jpg', '4.jpg', '0.jpg']
            assert dataset[2]['sentences'] == ['image 4 caption 0']
        assert dataset.broken_images == 3

    def test_too_many_are_an_error(self, pictures):
        dataset = with_pictures(pictures, 1)
        dataset[3]
        with pytest.raises(
            ImageError,
            match=r'2 images of .*captions\.json could not be used, more than '
            r'max_broken_images=1; the last: .*5\.jpg',
        ):
            dataset[5]

    def test_no_question_is_lost_in_test_mode(self, pictures):
        dataset = with_pictures(pictures, 3, test_mode=True)
        samples = [dataset[i] for i in range(6)]
        assert [s['sentences'][0] for s in samples] == [f'image {i} caption 0' for i in range(6)]
        assert [bool(s['image'].any()) for s in samples] == [True, True, False, False, True, False]

    def test_are_counted_across_worker_processes(self, pictures):
        dataset = with_pictures(pictures, 3)
        dataset.pipeline = _Index(dataset.pipeline)
        loader = DataLoader(dataset, batch_size=1, num_workers=2, multiprocessing_context='fork', collate_fn=list)
        assert [batch[0] for batch in loader] == ['0.jpg', '1.jpg', '4.jpg', '4.jpg', '4.jpg', '0.jpg']
        assert dataset.broken_images == 3

    def test_nothing_left_to_stand_in(self, pictures):
        dataset = pretrain(
            [record(i) for i in (2, 3)],
            pictures,
            sentence_group=1,
            images='.',
            replace_prob=0,
            pipeline=[dict(type='LoadImage')],
            max_broken_images=9,
        )
        with pytest.raises(ImageError, match='has no image left that could replace'):
            dataset[0]


class _Index:
    """File names only: images do not have to travel between processes."""

    def __init__(self, pipeline):
        self.pipeline = pipeline

    def __call__(self, results):
        return self.pipeline(results)['file_name']


def synthetic_dataset(synthetic, task):
    tokenizer = dict(vocab=str(synthetic / 'vocab.txt'), max_length=12)
    source = dict(data_root=str(synthetic), images='train2014')
    image = [
        dict(type='LoadImage', reduce_to=(64, 48)),
        dict(type='RandomResizeKeepRatio', scales=[(64, 32), (64, 48)]),
        dict(type='RandomFlip', prob=0.5),
        dict(type='Tokenize', tokenizer=tokenizer),
    ]
    if task == 'vqa':
        keys = ['question_id', 'answer_labels', 'answer_scores']
        return DATASETS.build(
            dict(
                type='VQADataset',
                ann_file='train_data_vqa.json',
                sentence_group=3,
                pipeline=[*image, dict(type='PackSample', keys=keys)],
                **source,
            )
        )
    masking = [dict(type='MaskTokens', tokenizer=tokenizer), dict(type='DrawVisualMask', prob=0.5)]
    keys = ['mlm_labels', 'itm_labels', 'mvm_cell', 'mvm_sentences']
    return DATASETS.build(
        dict(
            type='PretrainDataset',
            ann_file='coco_cap_train_pre.json',
            pipeline=[*image, *masking, dict(type='PackSample', keys=keys)],
            **source,
        )
    )


def two_epochs(dataset, num_workers=0, world_size=1):
    """The global batches of two epochs, each rank's part collated apart."""
    ranks = []
    for rank in range(world_size):
        sampler = EpochSampler(dataset, seed=7)
        sampler.rank, sampler.world_size = rank, world_size
        workers = dict(persistent_workers=True, multiprocessing_context='fork') if num_workers else {}
        ranks.append(
            (
                sampler,
                DataLoader(
                    dataset,
                    batch_sampler=AspectRatioBatchSampler(sampler, 8 // world_size),
                    num_workers=num_workers,
                    collate_fn=lambda samples: collate(samples, canvas_sizes=64),
                    **workers,
                ),
            )
        )
    batches = []
    for epoch in range(2):
        for sampler, _ in ranks:
            sampler.set_epoch(epoch)
        batches += zip(*(loader for _, loader in ranks), strict=True)
    return batches


@pytest.mark.parametrize('task', ['pretrain', 'vqa'])
def test_workers_and_ranks_do_not_change_the_data(synthetic, task):
    dataset = synthetic_dataset(synthetic, task)
    expected = [parts[0] for parts in two_epochs(dataset)]
    half = len(expected) // 2
    assert not any(expected[0]['image'].equal(batch['image']) for batch in expected[half:])
    runs = [two_epochs(dataset, num_workers=1), two_epochs(dataset, num_workers=2), two_epochs(dataset, world_size=2)]
    for run in runs:
        for batch, parts in zip(expected, run, strict=True):
            for name, value in batch.items():
                rows = [row for part in parts for row in part[name]]
                assert len(rows) == len(value)
                for row, wanted in zip(rows, value):
                    # Answers are padded to the longest of the rank's part.
                    assert row.equal(wanted[..., : row.shape[-1]] if row.dim() else wanted), name
