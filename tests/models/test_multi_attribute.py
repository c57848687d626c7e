"""Images with labels: one loss an attribute of label, the dataset, the metric."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy

from soho.datasets.labeled_images import LabeledImages
from soho.evaluation.attribute_accuracy import AttributeAccuracy
from soho.models.heads.multi_attribute import MultiAttributeHead
from soho.models.structures import VisualFeatures


@torch.no_grad()
def test_unknown_labels_count_nowhere():
    head = MultiAttributeHead(4, dict(color=3, shape=2))
    seen = VisualFeatures(torch.randn(3, 4, 2, 2))
    labels = torch.tensor([[0, 1], [2, -1], [1, -1]])
    outputs = head.loss(seen, dict(attribute_labels=labels))
    color, shape = head(seen)
    assert outputs['loss_color'] == pytest.approx(float(cross_entropy(color, labels[:, 0])), rel=1e-4)
    assert outputs['loss_shape'] == pytest.approx(float(cross_entropy(shape[:1], labels[:1, 1])), rel=1e-4)
    assert outputs['acc_shape'] == 100.0 * (shape[0].argmax() == 1)
    nothing = head.loss(seen, dict(attribute_labels=torch.full((3, 2), -1)))
    assert nothing['loss_color'] == 0 and nothing['acc_shape'] == 0


def test_head_refuses_labels_of_another_kind():
    with pytest.raises(ValueError, match='the data has the attributes .* but the head has'):
        MultiAttributeHead(4, dict(color=3)).check(dict(label_names=dict(color=['red', 'blue'])), 'the data')


def annotations(tmp_path, labels):
    path = tmp_path / 'labels.json'
    path.write_text(
        json.dumps(
            dict(
                data=[
                    dict(file_name=f'{i}.jpg', image_id=i, width=64, height=64, labels=row)
                    for i, row in enumerate(labels)
                ],
                labels=dict(shape=['ring', 'star'], color=['red', 'blue', 'green']),
            )
        )
    )
    return str(path)


def test_dataset_gives_the_wanted_kinds(tmp_path):
    path = annotations(tmp_path, [[0, 2], [1, -1]])
    dataset = LabeledImages(path, None, [], attributes=['color'])
    assert dataset.metainfo == dict(label_names=dict(color=['red', 'blue', 'green']))
    assert [dataset.get_annotation(i, None)['attribute_labels'].tolist() for i in range(2)] == [[2], [-1]]
    with pytest.raises(ValueError, match="no labels of the attribute 'size'; it has 'shape', 'color'"):
        LabeledImages(path, None, [], attributes=['size'])


def test_a_label_outside_its_list_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r'image 1.jpg has the shape 2, but there are 2 \(0 to 1'):
        LabeledImages(annotations(tmp_path, [[0, 2], [2, 0]]), None, [])


def test_accuracy_counts_known_labels_over_all_batches():
    metric = AttributeAccuracy((1, 2))
    metric.dataset_meta = dict(label_names=dict(shape=[], color=[]))

    def scores(*best):
        return torch.eye(4)[torch.tensor(best)] - 0.1 * torch.arange(4)  # then the lower the label, the better

    metric.process(
        dict(attribute_labels=torch.tensor([[0, 1], [1, -1]])),
        dict(shape_scores=scores(0, 0), color_scores=scores(1, 1)),
    )
    metric.process(dict(attribute_labels=torch.tensor([[1, 2]])), dict(shape_scores=scores(1), color_scores=scores(0)))
    assert metric.evaluate(3) == dict(
        accuracy_shape=pytest.approx(200 / 3), top2_shape=100.0, accuracy_color=50.0, top2_color=50.0
    )
