"""The classifier: pooling over the valid area, one loss a kind of label, its dataset and its metric."""
import json

import pytest
import torch
from torch.nn.functional import cross_entropy

from soho.datasets.labels import LabelledImages
from soho.evaluation.labels import LabelAccuracy
from soho.models.heads.labels import LabelHead
from soho.registry import MODELS


@pytest.fixture
def model():
    model = MODELS.build(dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18, num_stages=1, out_indices=(0, )),
        heads=dict(labels=dict(type='LabelHead', in_channels=64, kinds=dict(color=3, shape=2)))))
    model.init_weights()
    return model


def test_pools_over_the_valid_area(model):
    image = torch.randn(1, 3, 32, 48)
    feature = model.eval().backbone(image)[-1]  # stride 4
    pooled = model(image=image, image_size=torch.tensor([[32, 24]]))
    assert torch.allclose(pooled, feature[..., :6].mean((2, 3)), atol=1e-5)
    assert not torch.allclose(pooled, feature.mean((2, 3)), atol=1e-3)


@torch.no_grad()
def test_unknown_labels_count_nowhere():
    head = LabelHead(4, dict(color=3, shape=2))
    pooled = torch.randn(3, 4)
    labels = torch.tensor([[0, 1], [2, -1], [1, -1]])
    outputs = head.loss(pooled, dict(labels=labels))
    color, shape = head(pooled)
    assert outputs['loss_color'] == pytest.approx(float(cross_entropy(color, labels[:, 0])), rel=1e-4)
    assert outputs['loss_shape'] == pytest.approx(float(cross_entropy(shape[:1], labels[:1, 1])), rel=1e-4)
    assert outputs['acc_shape'] == 100.0 * (shape[0].argmax() == 1)
    nothing = head.loss(pooled, dict(labels=torch.full((3, 2), -1)))
    assert nothing['loss_color'] == 0 and nothing['acc_shape'] == 0


def test_head_refuses_labels_of_another_kind():
    with pytest.raises(ValueError, match='the data has labels of the kinds .* but the head was made for'):
        LabelHead(4, dict(color=3)).check(dict(label_names=dict(color=['red', 'blue'])), 'the data')


def annotations(tmp_path, labels):
    path = tmp_path / 'labels.json'
    path.write_text(json.dumps(dict(
        data=[dict(file_name=f'{i}.jpg', image_id=i, width=64, height=64, labels=row) for i, row in enumerate(labels)],
        labels=dict(shape=['ring', 'star'], color=['red', 'blue', 'green']))))
    return str(path)


def test_dataset_gives_the_wanted_kinds(tmp_path):
    path = annotations(tmp_path, [[0, 2], [1, -1]])
    dataset = LabelledImages(path, None, [], kinds=['color'])
    assert dataset.metainfo == dict(label_names=dict(color=['red', 'blue', 'green']))
    assert [dataset.describe(i, None)['labels'].tolist() for i in range(2)] == [[2], [-1]]
    with pytest.raises(ValueError, match="no labels of the kind 'size'; it has shape, color"):
        LabelledImages(path, None, [], kinds=['size'])


def test_a_label_outside_its_list_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r'image 1.jpg has the shape 2, but there are 2 \(0 to 1'):
        LabelledImages(annotations(tmp_path, [[0, 2], [2, 0]]), None, [])


def test_accuracy_counts_known_labels_over_all_batches():
    metric = LabelAccuracy()
    metric.dataset_meta = dict(label_names=dict(shape=[], color=[]))
    metric.process(dict(labels=torch.tensor([[0, 1], [1, -1]])),
                   dict(shape=torch.tensor([0, 0]), color=torch.tensor([1, 1])))
    metric.process(dict(labels=torch.tensor([[1, 2]])), dict(shape=torch.tensor([1]), color=torch.tensor([0])))
    assert metric.evaluate(3) == dict(accuracy_shape=pytest.approx(200 / 3), accuracy_color=50.0)
