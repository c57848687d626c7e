"""The table of batch fields: what collate, heads and documents take from it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from soho.datasets.batch import FIELDS, check_sample, describe_fields
from soho.datasets.collate import collate


def image(height, width):
    return np.full((height, width, 3), 7, np.uint8)


def test_fields_are_padded_and_typed_as_the_table_says(make_batch, make_caption_batch):
    for batch in (make_batch(), make_caption_batch()):
        for name, value in batch.items():
            field = FIELDS[name]
            assert value.dtype == getattr(torch, field.dtype), name
            assert value.dim() == len(field.shape), name
    for name, field in FIELDS.items():
        if field.padding is None:
            continue
        short, long = (np.ones([1] * (len(field.shape) - 2) + [size], field.dtype) for size in (2, 3))
        batch = collate([{name: short}, {name: long}])
        assert batch[name][0].flatten()[-1] == field.padding and batch[name].dtype == getattr(torch, field.dtype)


def test_images_of_a_sample_become_rows():
    samples = [
        dict(
            image=[image(20, 30), image(40, 10)],
            image_size=[(20, 30), (40, 10)],
            mvm_cell=np.array([0.1, 0.2], np.float32),
            answer_labels=np.array([[label]]),
        )
        for label in range(2)
    ]
    batch = collate(samples)
    assert batch['image'].shape == (4, 3, 64, 32) and batch['image_size'].tolist() == [[20, 30], [40, 10]] * 2
    assert batch['pad_size'].tolist() == [[32, 32], [64, 32]] * 2
    assert batch['mvm_cell'].tolist() == pytest.approx([0.1, 0.2] * 2)
    assert batch['answer_labels'].tolist() == [[[0]], [[1]]]
    single = collate([dict(image=image(20, 30), mvm_cell=np.float32(0.1)) for _ in range(2)])
    assert single['image'].shape == (2, 3, 32, 32) and single['mvm_cell'].shape == (2,)


@pytest.mark.parametrize(
    'sample, message',
    [
        (dict(image=image(9, 9)), "the data gives no 'answer_labels', which the head reads: .*.it gives image."),
        (
            dict(answer_labels=np.zeros((2, 1))),
            "'answer_labels' as float64 of shape .2, 1., but a batch holds it as int64",
        ),
        (
            dict(answer_labels=np.zeros(2, int)),
            r"'answer_labels' as int64 of shape \(2,\), but .* of shape \(B, S, K\)",
        ),
    ],
)
def test_a_sample_that_a_head_cannot_read_is_refused(sample, message):
    with pytest.raises(ValueError, match=message):
        check_sample(sample, ('answer_labels',), 'the data', 'the head')
    check_sample(dict(answer_labels=np.zeros((2, 1), int), more=1), ('answer_labels',), 'the data', 'the head')
    for shape in ((7,), (5, 7)):  # one caption, or five
        check_sample(dict(noitpac_tokens=np.zeros(shape, int)), ('noitpac_tokens',), 'the data', 'the head')


def test_the_documents_hold_the_table():
    table = describe_fields()
    assert all(f'| `{name}` | (' in table for name in FIELDS)
    assert '| `answer_labels` | (B, S, K) | int64 | -1 |' in table
    page = Path(__file__).resolve().parents[2] / 'docs' / 'batch.md'
    assert table in page.read_text(encoding='utf-8'), 'docs/batch.md says how it is made again'
