"""Average precision of boxes and masks, equal to what the official programs give."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.nn import functional as F

from soho.evaluation import LVISAP, VOCAP, CocoAP
from soho.evaluation.detection.coco import index
from soho.evaluation.detection.lvis import lvis_metrics
from soho.evaluation.detection.records import Detections, paste_mask

# Made with lvis-api (LVISEval) from lvis_synthetic() below.
LVIS_BOXES = dict(
    AP=26.0713, AP50=57.9211, AP75=19.5514, APs=10.0273, APm=32.875, APr=27.2647, APc=20.1523, APf=31.1948
)
LVIS_MASKS = dict(
    AP=26.4733, AP50=57.9211, AP75=18.9115, APs=10.1108, APm=33.0677, APr=28.1947, APc=20.0369, APf=31.7622
)
# Made with detectron2's voc_eval(use_07_metric=True) from voc_synthetic() below.
VOC = dict(AP=33.388933, AP50=70.280984, AP75=24.007196)


def lvis_synthetic(seed=0, images=30, categories=8):
    """Random truth and detections in LVIS's form."""
    rng = np.random.default_rng(seed)
    truth = dict(
        images=[],
        annotations=[],
        categories=[dict(id=c, name=f'c{c}', frequency='rcf'[c % 3]) for c in range(1, categories + 1)],
    )
    results = []
    for image in range(1, images + 1):
        kinds = rng.permutation(np.arange(1, categories + 1))
        present, negative = kinds[:2].tolist(), kinds[2:4].tolist()
        truth['images'].append(
            dict(
                id=image,
                height=200,
                width=200,
                neg_category_ids=negative,
                not_exhaustive_category_ids=present[:1] if image % 4 == 0 else [],
            )
        )
        for category in rng.choice(present, 3).tolist():
            x, y = rng.uniform(0, 120, 2)
            w, h = rng.uniform(10, 80, 2)
            box = [x, y, w, h]
            truth['annotations'].append(
                dict(
                    id=len(truth['annotations']) + 1,
                    image_id=image,
                    category_id=category,
                    bbox=box,
                    area=w * h,
                    segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
                )
            )
            for _ in range(2):
                shift = rng.normal(0, 4, 4)
                results.append(
                    dict(
                        image_id=image,
                        category_id=category if rng.random() < 0.8 else int(kinds[3]),
                        bbox=(np.array(box) + shift).tolist(),
                        score=float(rng.random()),
                    )
                )
        for _ in range(4):  # anywhere, of anything
            results.append(
                dict(
                    image_id=image,
                    category_id=int(rng.choice(kinds)),
                    bbox=[*rng.uniform(0, 120, 2), *rng.uniform(10, 80, 2)],
                    score=float(rng.random()),
                )
            )
    return truth, results


def voc_synthetic(root, seed=0, images=12):
    """A devkit of random boxes, and detections around them and elsewhere."""
    rng = np.random.default_rng(seed)
    main, annotations = root / 'VOC2007/ImageSets/Main', root / 'VOC2007/Annotations'
    main.mkdir(parents=True)
    annotations.mkdir()
    names, records = [f'{i:06d}' for i in range(1, images + 1)], []
    (main / 'test.txt').write_text('\n'.join(names))
    for kind in ('cat', 'dog'):
        (main / f'{kind}_test.txt').write_text('')
    for name in names:
        objects, found = [], []
        for _ in range(4):
            label, difficult = int(rng.integers(1, 3)), int(rng.random() < 0.3)
            x, y, w, h = (int(v) for v in rng.integers(10, 60, 4))
            objects.append(
                f'<object><name>{("cat", "dog")[label - 1]}</name><pose>Left</pose><truncated>0</truncated>'
                f'<difficult>{difficult}</difficult><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>'
                f'<xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox></object>'
            )
            for _ in range(2):
                found.append((np.array([x, y, x + w, y + h]) + rng.normal(0, 3, 4), rng.random(), label))
        found.append((np.array([5.0, 5, 50, 50]), rng.random(), 1))
        size = '<size><width>130</width><height>130</height><depth>3</depth></size>'
        (annotations / f'{name}.xml').write_text(f'<annotation>{size}{"".join(objects)}</annotation>')
        boxes, scores, labels = zip(*found)
        records.append(Detections(int(name), (130, 130), np.array(boxes), np.array(scores), np.array(labels), None))
    return records


def as_polygon(x, y, w, h):
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def records_of(results, category_ids, size=(200, 200)):
    """Results by image, as a metric keeps them."""
    records = []
    for image in sorted({item['image_id'] for item in results}):
        own = [item for item in results if item['image_id'] == image]
        boxes = np.array([item['bbox'] for item in own])
        boxes[:, 2:] += boxes[:, :2]
        masks = [coco_mask.frPyObjects(as_polygon(*item['bbox']), *size)[0]['counts'] for item in own]
        labels = np.array([category_ids.index(item['category_id']) + 1 for item in own])
        records.append(Detections(image, size, boxes, np.array([item['score'] for item in own]), labels, masks))
    return records


@pytest.fixture
def lvis_file(tmp_path):
    truth, results = lvis_synthetic()
    path = tmp_path / 'lvis.json'
    path.write_text(json.dumps(truth))
    return str(path), results


def test_lvis_metrics_are_those_of_its_own_program(lvis_file):
    metric = LVISAP(lvis_file[0])
    metrics = metric.compute_metrics(records_of(lvis_file[1], metric.category_ids))
    expected = {
        f'{kind}_{name}': value
        for kind, values in (('bbox', LVIS_BOXES), ('segm', LVIS_MASKS))
        for name, value in values.items()
    }
    assert metrics == pytest.approx(expected, abs=1e-4)


def test_an_image_says_nothing_of_categories_that_were_not_looked_for():
    images = [
        dict(id=1, neg_category_ids=[2], not_exhaustive_category_ids=[]),
        dict(id=2, neg_category_ids=[], not_exhaustive_category_ids=[1]),
    ]
    box = [0, 0, 50, 50]
    annotations = [dict(id=i, image_id=i, category_id=1, bbox=box, area=2500, iscrowd=0) for i in (1, 2)]
    annotations.append(dict(annotations[0], id=3, image_id=2, category_id=2))
    truth = index(
        dict(
            images=images,
            annotations=annotations,
            categories=[dict(id=1, frequency='f'), dict(id=2, frequency='r'), dict(id=3, frequency='c')],
        )
    )
    right = [dict(image_id=i, category_id=1, bbox=box, score=0.5) for i in (1, 2)]
    right.append(dict(image_id=2, category_id=2, bbox=box, score=0.5))
    assert lvis_metrics(truth, right, 'bbox')['AP'] == pytest.approx(100)

    def with_one_more(image, category):
        more = dict(image_id=image, category_id=category, bbox=[60, 60, 50, 50], score=0.9)
        return lvis_metrics(truth, [*right, more], 'bbox')

    assert with_one_more(1, 3)['AP'] == pytest.approx(100)  # not looked for
    assert with_one_more(2, 1)['AP'] == pytest.approx(100)  # not all instances are marked
    assert with_one_more(1, 1)['APf'] < 100  # wrong, where they are
    assert with_one_more(1, 2)['APr'] < 100  # looked for and not there
    assert 'APc' not in right and 'APc' not in lvis_metrics(truth, right, 'bbox')  # no instance anywhere


def test_coco_metrics_are_those_of_pycocotools_from_a_result_file(tmp_path, capsys):
    truth, results = lvis_synthetic(images=10)
    for item in truth['annotations']:
        item['iscrowd'] = int(item['id'] % 7 == 0)
        if item['iscrowd']:
            item['segmentation'] = coco_mask.frPyObjects(item['segmentation'], 200, 200)[0]
            item['segmentation']['counts'] = item['segmentation']['counts'].decode()
    (tmp_path / 'instances.json').write_text(json.dumps(truth))
    metric = CocoAP(str(tmp_path / 'instances.json'))
    records = records_of(results, metric.category_ids)
    metrics = metric.compute_metrics(records)
    assert capsys.readouterr().out == ''
    assert metrics == metric.compute_metrics(records[::-1])  # which rank saw an image does not matter
    metric.write(records, str(tmp_path / 'results.json'))
    official = COCO(str(tmp_path / 'instances.json'))
    for kind in ('bbox', 'segm'):
        items = json.loads((tmp_path / 'results.json').read_text())
        assert set(items[0]) == {'image_id', 'category_id', 'bbox', 'score', 'segmentation'}
        if kind == 'segm':
            for item in items:
                del item['bbox']  # else pycocotools takes the boxes' areas
        evaluation = COCOeval(official, official.loadRes(items), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        for name, value in zip(('AP', 'AP50', 'AP75', 'APs', 'APm'), evaluation.stats):
            assert metrics[f'{kind}_{name}'] == pytest.approx(100 * value)


def test_no_detection_at_all_is_zero_and_a_missing_image_an_error(lvis_file):
    metric = CocoAP(lvis_file[0])
    none = [Detections(i, (200, 200), np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), None) for i in range(1, 31)]
    assert metric.compute_metrics(none)['bbox_AP'] == 0
    for records, message in (
        (none[1:], 'has 1 images that were not evaluated; the first is 1'),
        ([*none, none[0]], 'has 1 images that were evaluated more than once'),
        ([*none, none[0]._replace(image_id=99)], 'lacks 1 of the images'),
    ):
        with pytest.raises(ValueError, match=message):
            metric.check_images(records)


@pytest.mark.parametrize('damage', ['no iscrowd', 'no area', 'no ids', 'one id', 'ids from 0', 'ids that are texts'])
def test_truth_is_complete_before_pycocotools_reads_it(damage, tmp_path):
    truth, results = lvis_synthetic(images=6)
    for item in truth['annotations']:
        item['iscrowd'] = 0
    whole = tmp_path / 'whole.json'
    whole.write_text(json.dumps(truth))
    for number, item in enumerate(truth['annotations']):
        if damage.startswith('no '):
            item.pop({'no ids': 'id'}.get(damage, damage[3:]))
        elif 'id' in damage:
            item['id'] = {'one id': 1, 'ids from 0': number}.get(damage, f'object {number}')
    (tmp_path / 'damaged.json').write_text(json.dumps(truth))
    metrics = [CocoAP(str(tmp_path / name)) for name in ('whole.json', 'damaged.json')]
    figures = [metric.compute_metrics(records_of(results, metric.category_ids)) for metric in metrics]
    assert figures[0] == figures[1] and figures[0]['bbox_AP50'] > 20


def test_perfect_boxes_are_perfect_whatever_the_ids(tmp_path):
    truth, _ = lvis_synthetic(images=6)
    for item in truth['annotations']:
        item['id'] = 0
        item['bbox'] = [round(value) for value in item['bbox']]
    (tmp_path / 'a.json').write_text(json.dumps(truth))
    metric = CocoAP(str(tmp_path / 'a.json'))
    perfect = records_of([dict(item, score=1.0) for item in truth['annotations']], metric.category_ids)
    assert metric.compute_metrics(perfect)['bbox_AP'] == pytest.approx(100)


def test_images_whose_ids_are_texts_keep_their_figures_and_their_names(tmp_path):
    truth, results = lvis_synthetic(images=6)
    (tmp_path / 'numbers.json').write_text(json.dumps(truth))
    metric = CocoAP(str(tmp_path / 'numbers.json'))
    figures = metric.compute_metrics(records_of(results, metric.category_ids))
    names = {image['id']: f'{image["id"]}.jpg' for image in truth['images']}
    names[6] = 6  # a mixture
    for image in truth['images']:
        image['id'] = names[image['id']]
    for item in truth['annotations']:
        item['image_id'] = names[item['image_id']]
    (tmp_path / 'names.json').write_text(json.dumps(truth))
    metric = CocoAP(str(tmp_path / 'names.json'), out_file=str(tmp_path / 'out.json'))
    metric.dataset_meta = dict(image_ids=list(names.values()))
    metric.process(
        {},
        dict(
            image_id=torch.tensor([2]),
            full_size=torch.tensor([[200, 200]]),
            boxes=torch.tensor([[[1.0, 2, 11, 12]]]),
            scores=torch.tensor([[0.5]]),
            labels=torch.tensor([[1]]),
        ),
    )
    assert metric.results[0].image_id == '3.jpg'
    named = [record._replace(image_id=names[record.image_id]) for record in records_of(results, metric.category_ids)]
    assert metric.compute_metrics(named) == figures
    metric.write(named, str(tmp_path / 'out.json'))
    assert {item['image_id'] for item in json.loads((tmp_path / 'out.json').read_text())} == {*names.values()}
    with pytest.raises(ValueError, match="has 1 images that were not evaluated; the first is '5.jpg'"):
        metric.check_images([record for record in named if record.image_id != '5.jpg'])


@pytest.mark.parametrize(
    'segmentation, message',
    [
        (dict(size=[200, 200], counts=[-1, 40001]), 'image 1 has an object of category . with a run of -1 pixels'),
        (dict(size=[100, 400], counts=[40000]), 'run lengths of 400 x 100 pixels .* its image has 200 x 200'),
        ([[1, 2, 3, 4]], 'a polygon of 4 values'),
        ([[1e9, 0, 0, 1e9, 5, 5]], 'a polygon whose points'),
    ],
)
def test_numbers_that_would_crash_pycocotools_never_reach_it(segmentation, message, tmp_path):
    truth, _ = lvis_synthetic(images=2)
    truth['annotations'][0]['segmentation'] = segmentation
    (tmp_path / 'a.json').write_text(json.dumps(truth))
    for kind in (CocoAP, LVISAP):
        with pytest.raises(ValueError, match=message):
            kind(str(tmp_path / 'a.json'))


def test_masks_are_left_out_where_the_truth_has_none(tmp_path):
    truth, results = lvis_synthetic(images=6)
    for item in truth['annotations']:
        del item['segmentation']
    (tmp_path / 'a.json').write_text(json.dumps(truth))
    metric = CocoAP(str(tmp_path / 'a.json'))
    figures = metric.compute_metrics(records_of(results, metric.category_ids))
    assert 'bbox_AP' in figures and 'segm_AP' not in figures


def test_voc_figures_are_those_of_detectron2(tmp_path):
    records = voc_synthetic(tmp_path)
    metric = VOCAP(str(tmp_path / 'VOC2007/ImageSets/Main/test.txt'))
    assert metric.names == ['cat', 'dog']
    assert metric.compute_metrics(records) == pytest.approx(VOC, abs=1e-5)


def test_a_mask_lies_over_its_box_as_bilinear_sampling_lays_it():
    torch.manual_seed(0)
    mask, size = torch.rand(7, 7), (40, 60)
    for box in ((5.3, 8.1, 30.9, 33.7), (-4.0, -3.0, 20.0, 10.0), (50.0, 30.0, 70.0, 45.0)):
        x = (torch.arange(size[1]) + 0.5 - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (torch.arange(size[0]) + 0.5 - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack([x.expand(*size), y[:, None].expand(*size)], -1)[None]
        expected = F.grid_sample(mask[None, None], grid, align_corners=False)[0, 0] >= 0.5
        assert np.array_equal(paste_mask(mask.numpy(), box, size), expected.numpy())


def test_a_prediction_becomes_one_record_an_image():
    metric = VOCAP.__new__(VOCAP)
    metric.results = []
    metric.process(
        {},
        dict(
            image_id=torch.tensor([3, 4]),
            full_size=torch.tensor([[20, 30], [30, 20]]),
            boxes=torch.tensor([[[1.0, 2, 11, 12], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]]),
            scores=torch.tensor([[0.5, 0], [0, 0]]),
            labels=torch.tensor([[2, 0], [0, 0]]),
            masks=torch.ones(2, 2, 4, 4),
        ),
    )
    first, second = metric.results
    assert first.labels.tolist() == [2] and first.size == (20, 30) and len(second.labels) == 0
    mask = coco_mask.decode(dict(size=first.size, counts=first.masks[0]))
    assert mask[3:11, 2:10].all() and not mask[:2].any() and not mask[:, 11:].any()
