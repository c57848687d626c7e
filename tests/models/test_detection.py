"""Detection: outlines and regions against library values; what padding and batching must not change; start weights."""

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch.nn import functional as F
from torchvision.models import resnet18
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import MultiScaleRoIAlign, roi_align

from soho.datasets.collate import collate
from soho.datasets.object_table import outline
from soho.datasets.records import RunLengths
from soho.datasets.synthetic.instances import _run_lengths
from soho.engine.checkpoint.load import load_weights
from soho.models.detection.anchors import Anchors
from soho.models.detection.outlines import rasterize
from soho.models.detection.pooling import RegionPool
from soho.registry import MODELS

BACKBONE = dict(type='ResNet', depth=18, out_indices=(1, 2), num_stages=3)


def fpn_config(**parts):
    return dict(
        dict(
            type='Detector',
            backbone=BACKBONE,
            neck=dict(type='FPN', in_channels=(128, 256), out_channels=16),
            rpn=dict(
                type='RPN',
                in_channels=16,
                sizes=((16,), (32,), (64,)),
                strides=(8, 16, 32),
                candidates=(50, 50),
                proposals=(20, 20),
                samples=16,
            ),
            regions=dict(
                type='RegionHeads',
                num_classes=3,
                strides=(8, 16),
                samples=16,
                score_threshold=0.0,
                max_detections=5,
                box_head=dict(type='FCBoxHead', in_channels=16, channels=32),
                mask_head=dict(type='MaskHead', in_channels=16, channels=8, convs=1, size=7),
            ),
        ),
        **parts,
    )


def c4_config():
    return dict(
        type='Detector',
        backbone=dict(type='ResNet', depth=18, out_indices=(2,)),
        region_stage='layer4',
        rpn=dict(
            type='RPN',
            in_channels=256,
            sizes=((16, 32),),
            strides=(16,),
            candidates=(50, 50),
            proposals=(20, 20),
            samples=16,
        ),
        regions=dict(
            type='RegionHeads',
            num_classes=3,
            strides=(16,),
            size=6,
            samples=16,
            score_threshold=0.0,
            max_detections=5,
            box_head=dict(type='NormBoxHead', in_channels=512),
        ),
    )


def build(config):
    model = MODELS.build(config)
    model.init_weights()
    return model


def square(x, y, side):
    corners = np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)], np.float32)
    return np.concatenate([corners, np.roll(corners, -1, 0)], 1)


@pytest.fixture
def batch():
    """Three pictures of different sizes; two squares, one square, nothing."""
    rng = np.random.default_rng(0)
    boxes = [[(8, 8, 40, 40), (30, 4, 62, 36)], [(4, 10, 28, 34)], []]
    samples = []
    for i, (size, own) in enumerate(zip(((64, 96), (96, 64), (40, 50)), boxes)):
        edges = [square(box[0], box[1], box[2] - box[0]) for box in own]
        samples.append(
            dict(
                image=rng.integers(0, 256, (*size, 3), dtype=np.uint8),
                image_id=np.int64(i),
                full_size=np.array(size) * 2,
                boxes=np.array(own, np.float32).reshape(-1, 4),
                box_labels=np.arange(1, len(own) + 1),
                mask_edges=np.array(edges, np.float32).reshape(-1, 4, 4),
            )
        )
    return collate(samples)


POLYGON = [[10.3, 5.2, 50.9, 12.4, 44.1, 47.7, 30.2, 20.5, 12.8, 40.1]]
TWO_PARTS = [[5, 5, 30, 5, 30, 30, 5, 30], [20, 50, 20, 20, 50, 20, 50, 50]]  # overlapping, in opposite senses


@pytest.mark.parametrize('polygons', [POLYGON, TWO_PARTS], ids=['concave', 'overlapping parts'])
def test_outlines_become_the_masks_that_coco_makes_of_them(polygons):
    truth = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, 64, 64)))
    edges = np.concatenate([np.concatenate([ring, np.roll(ring, -1, 0)], 1) for ring in outline(polygons, 64, 64)])
    padded = torch.from_numpy(np.pad(edges, ((0, 3), (0, 0))).astype(np.float32))[None]
    mask = rasterize(padded, torch.tensor([[0.0, 0, 64, 64]]), 64)[0].numpy()
    # COCO counts the pixels along an edge differently.
    assert (mask != truth).sum() <= 0.05 * truth.sum()
    mirrored = padded * torch.tensor([-1, 1, -1, 1]) + torch.tensor([64, 0, 64, 0])
    assert np.array_equal(rasterize(mirrored, torch.tensor([[0.0, 0, 64, 64]]), 64)[0].numpy(), mask[:, ::-1])


@pytest.mark.parametrize('compressed', [True, False])
def test_run_lengths_become_the_same_mask_again(compressed):
    bitmap = np.random.default_rng(0).random((20, 30)) < 0.4
    segmentation = coco_mask.encode(np.asfortranarray(bitmap.astype(np.uint8))) if compressed else _run_lengths(bitmap)
    counts = segmentation['counts']
    run_lengths = RunLengths(size=(20, 30), counts=counts.decode() if compressed else counts)
    rings = outline(run_lengths, 20, 30)
    edges = torch.from_numpy(np.concatenate([np.concatenate([r, np.roll(r, -1, 0)], 1) for r in rings])).float()
    assert np.array_equal(rasterize(edges[None], torch.tensor([[0.0, 0, 30, 30]]), 30)[0, :20].numpy(), bitmap)


def test_a_part_of_an_outline_is_seen_at_any_scale():
    edges = torch.from_numpy(square(10, 10, 20))[None]
    boxes = torch.tensor([[20.0, 20, 40, 40]])  # the object covers its upper left quarter
    for size in (4, 28):
        mask = rasterize(edges, boxes, size)[0]
        assert mask[: size // 2, : size // 2].all() and mask.sum() == size**2 / 4


def test_anchors_are_those_of_detectron2_and_stay_where_they_are_on_a_larger_canvas():
    anchors = Anchors(((32,), (64,)), (0.5, 1.0, 2.0), (4, 8))

    def boxes(height, width):
        maps = [torch.zeros(1, 1, height // 4, width // 4), torch.zeros(1, 1, -(-height // 8), -(-width // 8))]
        return anchors(ImageList(torch.zeros(1, 3, height, width), [(height, width)]), maps)[0]

    # generate_cell_anchors((32,), (0.5, 1, 2)) of detectron2
    expected = [[-22.6274, -11.3137, 22.6274, 11.3137], [-16, -16, 16, 16], [-11.3137, -22.6274, 11.3137, 22.6274]]
    small = boxes(16, 20)
    torch.testing.assert_close(small[:3], torch.tensor(expected), atol=1e-4, rtol=0)
    torch.testing.assert_close(small[3:6], small[:3] + torch.tensor([4, 0, 4, 0]))  # along the row first
    large = {tuple(box) for box in boxes(64, 64).tolist()}
    assert {tuple(box) for box in small.tolist()} <= large


def test_regions_are_pooled_from_the_level_of_their_size():
    pool = RegionPool(3, (4, 8, 16, 32))
    sides = torch.tensor([10.0, 111, 113, 223, 225, 449, 2000])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], 1)
    assert pool.levels(boxes).tolist() == [0, 0, 1, 1, 2, 3, 3]  # p2 ... p5, equation 1 of the paper
    maps = [torch.randn(2, 2, 512 // stride, 512 // stride) for stride in pool.strides]
    both = [boxes[[4, 0, 2]], boxes[[1, 5]]]
    pooled = pool(maps, both)
    for row, (image, box, level) in enumerate(((0, 4, 2), (0, 0, 0), (0, 2, 1), (1, 1, 0), (1, 5, 3))):
        alone = roi_align(maps[level][image : image + 1], [boxes[box : box + 1]], 3, 1 / pool.strides[level], 0, True)
        torch.testing.assert_close(pooled[row], alone[0])
    mapper = MultiScaleRoIAlign(['0', '1', '2', '3'], 3, 2)
    mapper(dict(zip('0123', maps)), both, [(512, 512)] * 2)
    assert pool.levels(boxes).tolist() == mapper.map_levels([boxes]).tolist()


@pytest.mark.parametrize('strides', [(16,), (4, 8, 16, 32)])
@pytest.mark.parametrize('autocast', [False, True])
def test_half_precision_maps_are_pooled_at_exact_boxes(strides, autocast):
    pool = RegionPool(7, strides)
    maps = [torch.randn(1, 2, 1344 // stride, 1344 // stride).bfloat16().requires_grad_() for stride in strides]
    boxes = [torch.tensor([[1001.3, 514.7, 1103.1, 699.9], [1029.0, 3.0, 1331.0, 1301.0]])]
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        pooled = pool(maps, boxes)
    exact = pool([feature.float() for feature in maps], boxes)
    assert pooled.dtype == torch.bfloat16 and pooled.equal(exact.bfloat16())
    pooled.float().sum().backward()
    assert any(feature.grad is not None and feature.grad.any() for feature in maps)


def test_a_mask_of_one_class_is_that_of_all_classes_at_its_place():
    head = MODELS.build(dict(type='MaskHead', num_classes=5, in_channels=4, channels=6, convs=2, size=7))
    torch.nn.init.normal_(head.masks.weight)
    regions, labels = torch.randn(3, 4, 7, 7), torch.tensor([5, 1, 3])
    x = regions
    for conv in head.convs:
        x = F.relu(conv(x))
    everything = head.masks(F.relu(head.up(x)))
    torch.testing.assert_close(head(regions, labels), everything[torch.arange(3), labels - 1])


@pytest.mark.parametrize('config', [fpn_config(), c4_config()], ids=['fpn', 'c4'])
def test_every_part_learns_and_every_image_is_answered(config, batch, preprocess):
    model = build(config).train()
    losses = model(**preprocess(model, batch), mode='loss')
    assert set(losses) == {'loss_objectness', 'loss_proposals', 'loss_class', 'loss_box'} | (
        {'loss_mask'} if 'neck' in config else set()
    )
    sum(losses.values()).backward()
    assert not [name for name, value in model.named_parameters() if value.grad is None]
    model.eval()
    (prediction,) = model(**preprocess(model, batch), mode='predict')
    assert prediction['image_id'].tolist() == [0, 1, 2]
    assert prediction['boxes'].shape[:2] == prediction['labels'].shape == prediction['scores'].shape
    for boxes, scores, labels, size in zip(*(prediction[name] for name in ('boxes', 'scores', 'labels', 'full_size'))):
        assert (scores.diff() <= 0).all() and labels.max() <= 3
        assert (boxes >= 0).all() and (boxes[:, 2:] <= size.flip(0)).all()  # in pixels of the full picture


def test_a_batch_answers_as_its_images_alone(batch, preprocess):
    model = build(fpn_config()).eval()
    (together,) = model(**preprocess(model, batch), mode='predict')
    for i in range(3):
        (alone,) = model(**preprocess(model, {name: value[i : i + 1] for name, value in batch.items()}), mode='predict')
        count = alone['labels'].size(1)
        for name in ('boxes', 'scores', 'labels', 'masks'):
            torch.testing.assert_close(together[name][i, :count], alone[name][0], atol=1e-4, rtol=1e-4)
        assert not together['labels'][i, count:].any()


def test_padding_is_not_learnt_from(batch, preprocess):
    model = build(fpn_config())
    boxes, labels = batch['boxes'], batch['box_labels']
    wider = dict(
        batch,
        boxes=F.pad(boxes, (0, 0, 0, 3)),
        box_labels=F.pad(labels, (0, 3)),
        mask_edges=F.pad(batch['mask_edges'], (0, 0, 0, 9, 0, 3)),
    )
    losses = []
    for one in (batch, wider):
        torch.manual_seed(0)
        losses.append(model.eval()(**preprocess(model, one), mode='loss'))
    assert losses[0].keys() == losses[1].keys()
    for name, value in losses[0].items():
        torch.testing.assert_close(value, losses[1][name])


def test_what_lies_on_the_padding_of_the_canvas_does_not_count(batch, preprocess):
    model = build(fpn_config()).eval()
    dirty = dict(batch, image=batch['image'].clone())
    dirty['image'][2, :, 40:] = 255
    clean, other = (model(**preprocess(model, one), mode='predict')[0] for one in (batch, dirty))
    assert clean['boxes'].equal(other['boxes']) and clean['scores'].equal(other['scores'])
    assert (clean['boxes'][2] <= 100).all()


def test_an_image_without_objects_has_finite_losses_and_gradients(batch, preprocess):
    model = build(fpn_config()).train()
    one = {name: value[2:] for name, value in batch.items()}
    losses = model(**preprocess(model, one), mode='loss')
    assert losses['loss_box'] == losses['loss_proposals'] == losses['loss_mask'] == 0
    sum(losses.values()).backward()
    assert all(value.grad.isfinite().all() for value in model.parameters())


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'visual.cnn.'], ids=['torchvision', 'own', 'official VirTex'])
def test_the_cnn_comes_from_any_checkpoint(prefix):
    state = {prefix + name: value for name, value in resnet18().state_dict().items() if not prefix or 'fc' not in name}
    if prefix == 'visual.cnn.':
        state['textual.output.weight'] = torch.zeros(4, 8)
        state['textual.output.bias'] = torch.zeros(4)
    model = build(c4_config())
    report = load_weights(model, state, 'file', parts=['backbone'])
    for name, value in model.backbone.state_dict().items():
        assert value.equal(state[prefix + name])
    assert {name.split('.')[0] for name in report.loaded} == {'backbone'}
    # The stage that regions pass through is the CNN's own, and stays where an export looks for it.
    assert any(name.startswith('backbone.layer4') for name in model.state_dict())


def test_another_number_of_classes_is_refused_before_the_first_step():
    head = MODELS.build(fpn_config()['regions'])
    head.check(dict(class_names=list('abc')), 'train_dataloader of the config')
    with pytest.raises(ValueError, match='num_classes=3, but the dataset of train_dataloader .* has 2: a, b'):
        head.check(dict(class_names=list('ab')), 'train_dataloader of the config')


def test_only_sampled_anchors_are_learnt_from_and_the_losses_are_over_all_samples():
    rpn = MODELS.build(dict(type='RPN', in_channels=4, sizes=((16,),), strides=(8,), samples=8))
    labels = torch.tensor([1.0, 0.0, -1.0, -1.0])  # an object, background, and two between them
    scores, deltas = torch.tensor([[0.3], [-0.2], [5.0], [-7.0]]), torch.zeros(4, 4)
    deltas[:3] = torch.tensor([[0.5], [3.0], [9.0]])
    losses = rpn.compute_loss(scores, deltas, [labels], [torch.zeros(4, 4)])
    expected = (F.softplus(torch.tensor([-0.3, -0.2])).sum() / 8, torch.tensor(4 * 0.5 / 8))
    torch.testing.assert_close(losses, expected)


def test_boxes_are_learnt_in_tenths_of_a_side_and_fifths_of_its_logarithm():
    regions = MODELS.build(
        dict(type='RegionHeads', num_classes=3, box_head=dict(type='FCBoxHead', in_channels=4, channels=8))
    )
    proposal = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    for box, target in (([1.0, 0.0, 11.0, 10.0], [1.0, 0, 0, 0]), ([0.0, -5.0, 10.0, 15.0], [0, 0, 0, 5 * np.log(2)])):
        (deltas,) = regions.box_coder.encode([torch.tensor([box])], [proposal])
        torch.testing.assert_close(deltas, torch.tensor([target], dtype=torch.float32))
