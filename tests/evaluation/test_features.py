"""Features of a frozen CNN, and classification by the nearest of them."""

import pytest
import torch
from torch.utils.data import Subset

from soho.engine.checkpoint.backbones import load_backbone
from soho.evaluation.features import build_dataset, center_crop_pipeline, extract
from soho.evaluation.knn import accuracy, find_neighbors, vote


@pytest.fixture(scope='module')
def dataset(synthetic):
    return build_dataset(
        dict(
            type='LabeledImages',
            data_root=str(synthetic),
            ann_file='objects_val2014.json',
            images='objects_val2014',
            attributes=['category', 'color'],
        ),
        center_crop_pipeline(48, 40),
    )


@pytest.fixture(scope='module')
def backbone():
    return load_backbone('random', dict(depth=18, num_stages=2))


def test_features_depend_neither_on_the_batch_nor_on_the_order(dataset, backbone):
    features, labels = extract(backbone, dataset, batch_size=64, workers=0)
    assert features.shape == (len(dataset), 128) and labels.tolist() == dataset.labels.tolist()
    assert torch.allclose(features.norm(dim=1), torch.ones(len(dataset)), atol=1e-5)
    order = torch.randperm(len(dataset))
    mixed, shuffled = extract(backbone, Subset(dataset, order.tolist()), batch_size=7, workers=1)
    assert torch.allclose(mixed, features[order], atol=1e-5) and shuffled.equal(labels[order])
    with torch.no_grad():
        image = torch.from_numpy(dataset[3]['image']).permute(2, 0, 1).float()
        mean, std = (
            torch.tensor(values)[:, None, None] for values in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
        )
        by_hand = backbone(((image - mean) / std)[None])[-1].mean((2, 3))
    assert torch.allclose(features[3], torch.nn.functional.normalize(by_hand)[0], atol=1e-5)


def test_half_precision_stays_near(dataset, backbone):
    part = Subset(dataset, range(8))
    exact, _ = extract(backbone, part, workers=0)
    half, _ = extract(backbone, part, workers=0, amp=True, dtype=torch.float16)
    assert half.dtype == torch.float16
    assert torch.nn.functional.cosine_similarity(half.float(), exact).min() > 0.999


def test_images_of_several_sizes_are_refused(synthetic, backbone):
    uncut = build_dataset(
        dict(
            type='CaptioningDataset',
            data_root=str(synthetic),
            images='val2014',
            ann_file='annotations/captions_val2014.json',
        ),
        [
            dict(type='LoadImage', reduce_to=(64, 48)),
            dict(type='ResizeKeepRatio', scale=(64, 48)),
            dict(type='PackSample', keys=[]),
        ],
    )
    with pytest.raises(ValueError, match='images of one size.*must end in a crop'):
        extract(backbone, uncut, workers=0)


# --- nearest neighbours ---


@pytest.mark.parametrize('query_chunk, bank_chunk', [(1000, 1000), (3, 7), (1, 1), (5, 4)])
def test_chunks_change_nothing(query_chunk, bank_chunk):
    queries, bank = torch.randn(11, 6), torch.randn(50, 6)
    values, rows = find_neighbors(queries, bank, 5, query_chunk=query_chunk, bank_chunk=bank_chunk)
    best, order = (queries @ bank.T).sort(descending=True)
    assert rows.equal(order[:, :5]) and torch.allclose(values, best[:, :5], atol=1e-6)


def test_a_small_bank_gives_all_it_has():
    assert find_neighbors(torch.randn(2, 3), torch.randn(4, 3), 20)[1].sort().values.tolist() == [[0, 1, 2, 3]] * 2


def test_votes_by_hand():
    similarities = torch.tensor([[0.9, 0.83, 0.76, 0.5]])
    labels = torch.tensor([[2, 0, 0, -1]])
    weights = torch.tensor([0.9, 0.83, 0.76]).div(0.07).exp()
    votes = vote(similarities, labels, 3)
    assert torch.allclose(
        votes / votes.sum(), torch.tensor([[weights[1] + weights[2], 0.0, weights[0]]]) / weights.sum(), atol=1e-6
    )
    assert votes.argmax() == 2  # the nearest outweighs the two next, which have the majority
    assert vote(similarities, labels, 3, None).tolist() == [[2.0, 0.0, 1.0]]
    assert vote(1000 * similarities, labels, 3).isfinite().all()


def test_accuracy_is_over_known_labels():
    votes = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    assert accuracy(votes, torch.tensor([0, 1, -1]), (1, 2)) == dict(top1=50.0, top2=100.0)
