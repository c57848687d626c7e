"""ImageNet's folders, iNaturalist 2018 and the images of VOC2007 as datasets of labels."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from soho.apis.images import list_images
from soho.datasets import VOC07, AspectRatioBatchSampler, EpochSampler, ImageFolders, INaturalist
from soho.datasets.storage.decoding import decode_image
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.named_pictures import find_pictures
from soho.datasets.storage.names import IMAGE_EXTENSIONS
from soho.datasets.synthetic.exports.formats import EXPORTS
from soho.datasets.transforms import LoadImage

TAKE = [dict(type='LoadImage'), dict(type='PackSample', keys=['attribute_labels'])]


def write(path, grey=0, size=(40, 36)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), grey, np.uint8))


def names_and_labels(dataset):
    return [(dataset.images.file_names[i], *dataset.labels[i]) for i in range(len(dataset))]


# --- folders of classes ---


@pytest.fixture
def train(tmp_path):
    for synset, number in (('n02', 1), ('n01', 10), ('n01', 9)):
        write(tmp_path / 'train' / synset / f'{synset}_{number}.JPEG', 10 * number)
    (tmp_path / 'train' / 'n015').mkdir()
    (tmp_path / 'train' / 'n01' / 'notes.txt').touch()
    return tmp_path / 'train'


@pytest.mark.parametrize('kind', ['folder', 'zip', 'zip of the folder'])
def test_folders_are_classes_in_alphabetical_order(train, kind):
    if kind != 'folder':
        base = dict(base_dir='train') if kind == 'zip of the folder' else {}
        shutil.make_archive(str(train), 'zip', train.parent if base else train, **base)
        shutil.rmtree(train)
    dataset = ImageFolders('train', TAKE, data_root=str(train.parent))
    assert dataset.metainfo == dict(label_names=dict(category=['n01', 'n015', 'n02']))
    assert names_and_labels(dataset) == [('n01/n01_10.JPEG', 0), ('n01/n01_9.JPEG', 0), ('n02/n02_1.JPEG', 2)]
    sample = dataset[2]
    assert sample['attribute_labels'].tolist() == [2] and sample['image'].shape == (40, 36, 3)
    assert abs(int(sample['image'].mean()) - 10) < 3


def test_the_same_endings_are_images_wherever_images_are_listed(tmp_path):
    (tmp_path / 'images' / 'a').mkdir(parents=True)
    stems = [f'{number}{ending}' for number, ending in enumerate(IMAGE_EXTENSIONS)]
    for stem in stems:
        Image.new('L', (40, 36)).save(tmp_path / 'images' / 'a' / stem.upper())
    names = sorted(f'a/{stem.upper()}' for stem in stems)
    assert list(ImageFolders(str(tmp_path / 'images'), TAKE).images.file_names) == names
    assert list_images(tmp_path / 'images') == names
    found, problems = find_pictures(ImageStore(tmp_path / 'images'), [stem.split('.')[0] for stem in stems], min_side=1)
    assert sorted(picture.size.file_name for picture in found.values()) == names and not problems


def test_no_image_is_opened_to_begin_with(train):
    for path in train.glob('*/*.JPEG'):
        path.write_bytes(b'')
    dataset = ImageFolders(str(train), TAKE)
    assert len(dataset) == 3 and dataset.images.sizes is None
    with pytest.raises(ValueError, match='does not state the sizes of its images.*remove the batch sampler'):
        AspectRatioBatchSampler(EpochSampler(dataset, seed=0), 2)


def test_another_image_stands_in_for_a_broken_one(train):
    (train / 'n02' / 'n02_1.JPEG').write_bytes(b'')
    dataset = ImageFolders(str(train), TAKE, max_broken_images=1)
    assert dataset[2]['attribute_labels'].tolist() == [0] and dataset.broken_images == 1


def test_images_outside_of_folders_are_explained(tmp_path):
    write(tmp_path / 'val' / 'ILSVRC2012_val_00000001.JPEG')
    with pytest.raises(ValueError, match='has 1 images that lie in no folder.*sorted by the ground truth'):
        ImageFolders(str(tmp_path / 'val'), TAKE)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='has no images in folders'):
        ImageFolders(str(tmp_path / 'empty'), TAKE)


def test_a_picture_may_stay_as_it_is_stored(tmp_path):
    """ImageNet is read without a look at its EXIF data, other data sets with it."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    for suffix in ('jpg', 'png'):
        path = tmp_path / f'a.{suffix}'
        Image.new('RGB', (20, 10)).save(path, exif=exif)
        assert decode_image(path.read_bytes()).shape[:2] == (20, 10)
        assert decode_image(path.read_bytes(), upright=False).shape[:2] == (10, 20)
    with pytest.raises(ValueError, match='always turned upright'):
        LoadImage(reduce_to=(20, 10), upright=False)


# --- iNaturalist ---


@pytest.fixture
def inaturalist(tmp_path):
    files = {7: 'train_val2018/Aves/30/b.jpg', 5: 'train_val2018/Plantae/4/a.jpg'}
    for number, name in files.items():
        write(tmp_path / name, number)
    (tmp_path / 'annotations').mkdir()
    content = dict(
        images=[dict(id=i, file_name=name, height=40, width=36) for i, name in files.items()],
        annotations=[dict(id=1, image_id=5, category_id=4), dict(id=2, image_id=7, category_id=30)],
        categories=[dict(id=30, name='a bird'), dict(id=4, name='a plant')],
    )
    (tmp_path / 'annotations' / 'train2018.json').write_text(json.dumps(content))
    return tmp_path, content


@pytest.mark.parametrize('zipped', [False, True])
def test_species_are_numbered_by_their_ids(inaturalist, zipped):
    root, _ = inaturalist
    if zipped:
        shutil.make_archive(str(root / 'train_val2018'), 'zip', root, 'train_val2018')
        shutil.rmtree(root / 'train_val2018')
    dataset = INaturalist('annotations/train2018.json', 'train_val2018', TAKE, data_root=str(root))
    assert dataset.metainfo == dict(label_names=dict(category=['a plant', 'a bird']))
    assert names_and_labels(dataset) == [('Plantae/4/a.jpg', 0), ('Aves/30/b.jpg', 1)]  # in the annotations' order
    assert dataset[1]['attribute_labels'].tolist() == [1] and int(dataset[1]['image'].mean()) in range(5, 10)
    assert dataset.aspect_ratio.tolist() == [[0.9], [0.9]]


def test_an_unknown_species_is_an_error(inaturalist):
    root, content = inaturalist
    content['annotations'][1]['category_id'] = 31
    (root / 'annotations' / 'train2018.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match='image 7 is of category 31, which the list of categories lacks'):
        INaturalist('annotations/train2018.json', 'train_val2018', TAKE, data_root=str(root))


# --- VOC2007 ---


def test_voc_images_with_all_labels_or_with_the_only_one(tmp_path):
    sets = tmp_path / 'ImageSets' / 'Main'
    sets.mkdir(parents=True)
    columns = dict(bird=[1, -1, 1, 0], boat=[-1, 1, 0, -1], cow=[-1, -1, -1, -1])
    for name, column in columns.items():
        (sets / f'{name}_test.txt').write_text(''.join(f'{i:06d} {label:2d}\n' for i, label in enumerate(column)))
    for i in range(4):
        write(tmp_path / 'JPEGImages' / f'{i:06d}.jpg')
    everything = VOC07('test', str(tmp_path), TAKE)
    assert everything[2]['attribute_labels'].tolist() == [1, -1, 0]
    single = VOC07('test', str(tmp_path), TAKE, single=True)
    # The third shows a difficult boat, too, and the fourth a difficult bird alone.
    assert names_and_labels(single) == [('000000.jpg', 0), ('000001.jpg', 1)]
    assert single.metainfo == dict(label_names=dict(category=['bird', 'boat', 'cow']))
    assert single[1]['image'].shape == (40, 36, 3)


# --- the synthetic data set in these formats ---


@pytest.fixture
def names_of(synthetic):
    """Of each object of a split, the names of its labels of some kinds."""

    def names(split, *kinds):
        content = json.loads((synthetic / f'objects_{split}2014.json').read_text())
        columns = [list(content['labels']).index(kind) for kind in kinds]
        return {
            item['image_id']: ' '.join(
                content['labels'][kind][item['labels'][column]] for kind, column in zip(kinds, columns)
            )
            for item in content['data']
        }

    return names


def test_the_synthetic_data_as_imagenet(synthetic, names_of):
    counts = EXPORTS['imagenet'](synthetic)
    lines = (synthetic / 'imagenet' / 'LOC_synset_mapping.txt').read_text().splitlines()
    meaning = dict(line.split(' ', 1) for line in lines)
    for split, count in counts.items():
        dataset = ImageFolders(split, TAKE, data_root=str(synthetic / 'imagenet'))
        found = {
            int(Path(name).stem.split('_')[1]): meaning[dataset.classes[label]]
            for name, label in names_and_labels(dataset)
        }
        assert found == names_of(split, 'category') and len(found) == count > 10
        assert dataset[0]['image'].shape == (64, 64, 3)
    stamp = (synthetic / 'imagenet').stat().st_mtime_ns
    assert (
        EXPORTS['imagenet'](synthetic) == counts and (synthetic / 'imagenet').stat().st_mtime_ns == stamp
    )  # nothing to do


def test_the_synthetic_data_as_inaturalist(synthetic, names_of):
    for split, count in EXPORTS['inaturalist'](synthetic).items():
        dataset = INaturalist(
            f'annotations/{split}2018.json', 'train_val2018', TAKE, data_root=str(synthetic / 'inaturalist')
        )
        found = {int(Path(name).stem, 16): dataset.classes[label] for name, label in names_and_labels(dataset)}
        assert found == names_of(split, 'texture', 'category') and len(found) == count > 10
        assert len(dataset.classes) == 24 and dataset[0]['image'].shape == (64, 64, 3)
