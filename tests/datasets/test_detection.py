"""Objects as COCO, LVIS and VOC write them: what is read, what is left out, and that objects follow their picture."""

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from soho.datasets import CocoDetection, ConcatDataset, LVISDetection, VOCDetection
from soho.datasets.coco_detection import read_categories
from soho.datasets.collate import collate
from soho.datasets.storage.image_store import ImageError
from soho.datasets.synthetic.exports.formats import EXPORTS
from soho.datasets.transforms import PlaceObjects, RandomResizeShortEdge
from soho.datasets.voc_detection import image_number, read_names, read_voc_image
from soho.models.detection.outlines import rasterize

PLACE = [
    dict(type='LoadImage'),
    dict(type='ResizeKeepRatio', scale=(96, 64)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PlaceObjects'),
]
PACK = dict(type='PackSample', keys=['boxes', 'box_labels', 'mask_edges'])


@pytest.fixture(scope='module')
def exported(synthetic):
    for export in EXPORTS.values():
        export(synthetic)
    return synthetic


@pytest.fixture
def coco(tmp_path):
    """A folder of two pictures of 60 x 40, and a function that writes annotations of the first and builds the data."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for name in ('a.png', 'b.png'):
        cv2.imwrite(str(folder / name), np.zeros((40, 60, 3), np.uint8))

    def make(*objects, **options):
        images = [dict(id=i, file_name=name, height=40, width=60) for i, name in ((7, 'a.png'), (8, 'b.png'))]
        annotations = [
            dict(
                dict(
                    id=i,
                    image_id=7,
                    category_id=3,
                    bbox=[5, 5, 20, 10],
                    iscrowd=0,
                    segmentation=[[5, 5, 25, 5, 25, 15, 5, 15]],
                ),
                **thing,
            )
            for i, thing in enumerate(objects, start=1)
        ]
        categories = [dict(id=9, name='dog'), dict(id=3, name='cat')]
        path = tmp_path / 'instances.json'
        path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
        return CocoDetection(str(path), str(folder), options.pop('pipeline', [*PLACE, PACK]), **options)

    return make


def test_coco_objects_keep_their_category_and_lose_crowds_and_empty_boxes(coco):
    data = coco(
        {},
        dict(category_id=9, bbox=[50, 30, 20, 20]),
        dict(iscrowd=1),
        dict(bbox=[3, 3, 0, 5]),
        dict(bbox=[70, 3, 5, 5]),
    )
    assert data.metainfo['class_names'] == ['cat', 'dog'] == list(read_categories(data.ann_file).values())
    assert len(data) == 1 and data.objects.dropped == 2  # the second picture has no object
    known = data.get_annotation(0, None)
    assert known['box_labels'].tolist() == [1, 2]
    assert known['boxes'].tolist() == [[5, 5, 25, 15], [50, 30, 60, 40]]  # cut to the picture
    assert known['image_id'] == 7 and known['full_size'].tolist() == [40, 60]
    assert [len(edges) for edges in known['outlines']] == [4, 4]


def test_every_picture_is_tested_and_none_needs_annotations(coco):
    data = coco(test_mode=True, pipeline=[*PLACE[:2], dict(type='PackSample', keys=['image_id', 'full_size'])])
    batch = collate([data[0], data[1]])
    assert batch['image_id'].tolist() == [7, 8] and batch['full_size'].tolist() == [[40, 60]] * 2


@pytest.mark.parametrize(
    'thing, message',
    [
        (dict(image_id=5), 'image 5 has an object, but the list of images lacks it'),
        (dict(category_id=4), 'image 7 has an object of category 4, which the list of categories lacks'),
        (
            dict(segmentation=[[1, 2, 3]]),
            'image 7 has an object of category 3 with a polygon of 3 values; it should have',
        ),
        (dict(segmentation=None), 'image 7 has an object of category 3 with a segmentation is a list of polygons or'),
    ],
)
def test_a_broken_annotation_is_named(coco, thing, message):
    with pytest.raises(ValueError, match=message):
        coco({}, thing)


def test_a_picture_of_another_size_than_annotated_is_refused_or_passed_over(coco, tmp_path):
    cv2.imwrite(str(tmp_path / 'images/a.png'), np.zeros((60, 40, 3), np.uint8))
    with pytest.raises(ImageError, match='a.png of .* has 40 x 60 pixels, but its annotation says 60 x 40'):
        coco({})[0]
    data = coco({}, dict(image_id=8), max_broken_images=1)
    assert data[0]['boxes'].shape == (1, 4) and data.broken_images == 1


def test_boxes_and_outlines_follow_the_picture(synthetic):
    data = CocoDetection('annotations/instances_train2014.json', 'train2014', [*PLACE, PACK], data_root=str(synthetic))
    flips = set()
    for index in range(len(data)):
        sample = data[index]
        height, width = sample['image'].shape[:2]
        edges, boxes = (torch.from_numpy(sample[name]) for name in ('mask_edges', 'boxes'))
        side = max(height, width)
        masks = rasterize(edges, torch.tensor([[0.0, 0, side, side]]).expand(len(edges), 4), 4 * side)
        for mask, box in zip(masks, boxes):
            y, x = torch.nonzero(mask, as_tuple=True)
            seen = torch.stack([x.min(), y.min(), x.max() + 1, y.max() + 1]) / 4
            assert (seen - box).abs().max() < 0.75  # a tip may lie between the centres of the cells
        raw = data.get_annotation(index, None)['boxes'] * (width / data.images.sizes[data.item_images[index, 0]][1])
        flips.add(bool(np.abs(raw[:, 0] - sample['boxes'][:, 0]).max() > 1.01))
        assert sample['boxes'].dtype == sample['mask_edges'].dtype == np.float32
    assert flips == {True, False}


def test_a_mirrored_box_keeps_its_corners_in_order():
    results = dict(
        full_size=(50, 100),
        ori_size=(50, 100),
        image_size=(25, 50),
        flipped=True,
        boxes=np.array([[10.0, 20, 30, 40]], np.float32),
        outlines=[np.array([[10.0, 20, 30, 40]])],
    )
    placed = PlaceObjects()(results)
    assert placed['boxes'].tolist() == [[35, 10, 45, 20]]
    assert placed['mask_edges'].tolist() == [[[45, 10, 35, 20]]]  # an edge keeps its sense


def test_short_edges_are_drawn_and_long_ones_bounded():
    resize = RandomResizeShortEdge((40, 50), 90)
    shapes = set()
    for seed in range(20):
        image = np.zeros((100, 200, 3), np.uint8)
        shapes.add(resize(dict(image=image, rng=np.random.default_rng(seed)))['image'].shape[:2])
    assert shapes == {(40, 80), (45, 90)}


def test_lvis_reads_pictures_from_the_folders_of_their_urls(exported, tmp_path):
    data = LVISDetection('lvis/lvis_v1_train.json', '', [*PLACE, PACK], data_root=str(exported))
    assert len(data.class_names) == 24 and data[0]['boxes'].shape[1] == 4
    assert data.images.file_names[0].startswith('train2014/COCO_train2014_')
    assert list(data.store.stores) == ['train2014']
    assert data.shard.tolist() == [0] * len(data)  # zips are not sharded, and batches can still be sampled by shard
    with zipfile.ZipFile(exported / 'train2014.zip') as archive:  # folders do as well
        archive.extractall(tmp_path)
    again = LVISDetection(str(exported / 'lvis/lvis_v1_train.json'), str(tmp_path), [*PLACE, PACK])
    assert np.array_equal(data[0]['image'], again[0]['image'])


def test_voc_is_read_from_its_devkit(exported):
    pipeline = [*PLACE, dict(type='PackSample', keys=['boxes', 'box_labels'])]
    years = [
        VOCDetection(
            f'VOC{year}/ImageSets/Main/trainval.txt',
            f'VOC{year}/JPEGImages',
            pipeline,
            data_root=str(exported / 'VOCdevkit'),
        )
        for year in (2007, 2012)
    ]
    data = ConcatDataset(years)
    assert data.metainfo['class_names'] == ['circle', 'heart', 'ring', 'square', 'star', 'triangle']
    assert len(data) == 24 and data[23]['boxes'].dtype == np.float32
    path = exported / 'VOCdevkit/VOC2007/Annotations' / years[0].images.file_names[0].replace('.jpg', '.xml')
    image = read_voc_image(path)
    known = years[0].get_annotation(0, None)
    assert known['boxes'].tolist() == [list(thing.box) for thing in image.objects]
    assert known['full_size'].tolist() == [image.height, image.width]
    assert image_number('2012_000012') == 2012000012 and image_number('000012') == 12


@pytest.fixture
def voc(tmp_path):
    """Write a devkit of one picture with these objects, and read it."""

    def make(objects, size='<size><width>60</width><height>40</height></size>', **options):
        root = tmp_path / 'VOC2007'
        for folder in ('ImageSets/Main', 'Annotations', 'JPEGImages'):
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / 'ImageSets/Main/trainval.txt').write_text('000001\n')
        (root / 'ImageSets/Main/cat_trainval.txt').write_text('000001  1\n')
        (root / 'Annotations/000001.xml').write_text(f'<annotation>{size}{objects}</annotation>')
        return VOCDetection(str(root / 'ImageSets/Main/trainval.txt'), str(root / 'JPEGImages'), [], **options)

    return make


def thing(name='cat', difficult=0, box='<xmin>1</xmin><ymin>2</ymin><xmax>60</xmax><ymax>20.5</ymax>'):
    # People have parts, with boxes of their own.
    part = '<part><name>head</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>'
    return f'<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox>{part}</object>'


def test_voc_counts_pixels_from_one_and_keeps_difficult_objects_unless_told(voc):
    both = thing() + thing(difficult=1)
    assert voc(both).get_annotation(0, None)['boxes'].tolist() == [[0, 1, 60, 20.5]] * 2
    assert len(voc(both, difficult=False).get_annotation(0, None)['boxes']) == 1


@pytest.mark.parametrize(
    'objects, message',
    [
        (thing('cow'), "000001.xml has an object of the class 'cow', which is not one of cat"),
        (thing(box='<xmin>1</xmin>'), '000001.xml has an element <object> without bndbox/ymin'),
        (
            thing(box='<xmin>one</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax>'),
            "000001.xml: the box of a cat: xmin is 'one', where a number is expected",
        ),
        ('<object>', '000001.xml is broken XML: mismatched tag'),
    ],
)
def test_a_broken_voc_annotation_is_named(voc, objects, message):
    with pytest.raises(ValueError, match=message):
        voc(objects)


def test_a_list_of_class_labels_is_no_list_of_images(voc):
    path = voc(thing()).ann_file
    Path(path).write_text('000001 -1\n000002 -1\n')
    with pytest.raises(ValueError, match='should be SPLIT.txt, not CLASS_SPLIT.txt'):
        read_names(path)
