from functools import partial

import numpy as np
import pytest
import torch
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS

from soho.datasets.collate import collate
from soho.datasets.storage import shared_canvas
from soho.registry import FUNCTIONS


def images(*sizes):
    rng = np.random.default_rng(0)
    return [dict(image=rng.integers(1, 256, (*size, 3), dtype=np.uint8), image_size=size) for size in sizes]


def test_registered():
    assert FUNCTIONS.get('collate') is MMENGINE_FUNCTIONS.get('collate') is collate


def test_images_stand_top_left_on_the_largest_height_and_width():
    samples = images((60, 200), (129, 33), (64, 64))
    batch = collate(samples)
    assert batch['image'].shape == (3, 3, 160, 224) and batch['image'].dtype == torch.uint8
    assert batch['image'].is_contiguous(memory_format=torch.channels_last)
    assert batch['image_size'].tolist() == [[60, 200], [129, 33], [64, 64]]
    assert batch['pad_size'].tolist() == [[64, 224], [160, 64], [64, 64]]
    assert batch['image_size'].dtype == batch['pad_size'].dtype == torch.int64
    for sample, picture in zip(samples, batch['image'].numpy()):
        height, width = sample['image_size']
        assert np.array_equal(picture[:, :height, :width], sample['image'].transpose(2, 0, 1))
        assert not picture[:, height:].any() and not picture[:, :, width:].any()


def test_text_that_is_padding_everywhere_is_left_out():
    attention = np.array([[[1, 1, 0, 0, 0]], [[1, 1, 1, 0, 0]]])
    samples = [dict(input_ids=attention[i] * 7, attention_mask=attention[i], itm_labels=np.array([i])) for i in (0, 1)]
    whole, trimmed = collate(samples), collate(samples, trim_text=True)
    assert trimmed['input_ids'].equal(whole['input_ids'][..., :3]) and trimmed['attention_mask'].shape == (2, 1, 3)
    assert trimmed['itm_labels'].equal(whole['itm_labels'])
    assert collate(images((40, 50)), trim_text=True).keys() == collate(images((40, 50))).keys()


def test_strided_views_are_batched_right():
    image = images((40, 50))[0]['image'][::-1, 3:37:2]
    batch = collate([dict(image=image)])
    assert np.array_equal(batch['image'][0, :, :40, :17].numpy(), image.transpose(2, 0, 1))


@pytest.mark.parametrize(
    'canvas_sizes, shape', [(None, (96, 160)), (64, (128, 192)), ([320, 128, 256], (128, 256)), ([96, 160], (96, 160))]
)
def test_canvas_is_rounded_up_to_an_allowed_size(canvas_sizes, shape):
    batch = collate(images((70, 150)), canvas_sizes=canvas_sizes)
    assert batch['image'].shape[2:] == shape
    assert batch['pad_size'].tolist() == [[96, 160]]
    assert not batch['image'][0, :, 70:].any() and not batch['image'][0, :, :, 150:].any()


def test_canvas_too_small_is_said():
    with pytest.raises(ValueError, match=r'canvas_sizes=\[64, 128\] has no length for .* 160 pixels'):
        collate(images((70, 150)), canvas_sizes=[64, 128])


def test_size_divisor():
    batch = partial(collate, size_divisor=16)(images((17, 33)))
    assert batch['pad_size'].tolist() == [[32, 48]]
    assert batch['image'].shape[2:] == (32, 48)


def test_arrays_and_numbers_are_stacked():
    batch = collate(
        [dict(input_ids=np.full((2, 5), i), sentence_mask=np.array([True, False]), index=i) for i in range(3)]
    )
    assert batch['input_ids'].shape == (3, 2, 5) and batch['input_ids'].dtype == torch.int64
    assert batch['sentence_mask'].dtype == torch.bool
    assert batch['index'].tolist() == [0, 1, 2] and batch['index'].dtype == torch.int64


def test_answers_are_padded():
    batch = collate(
        [
            dict(answer_labels=np.array([[4, 7]]), answer_scores=np.array([[1, 0.3]], np.float32)),
            dict(answer_labels=np.array([[5]]), answer_scores=np.array([[0.6]], np.float32)),
            dict(answer_labels=np.zeros((1, 0), np.int64), answer_scores=np.zeros((1, 0), np.float32)),
        ]
    )
    assert batch['answer_labels'].tolist() == [[[4, 7]], [[5, -1]], [[-1, -1]]]
    assert batch['answer_scores'].dtype == torch.float32
    assert torch.equal(batch['answer_scores'], torch.tensor([[[1, 0.3]], [[0.6, 0]], [[0, 0]]]))


@pytest.mark.parametrize(
    'samples, message',
    [
        ([dict(a=1, b=2), dict(a=1)], 'some lack: b'),
        (
            [dict(input_ids=np.zeros((1, 4))), dict(input_ids=np.zeros((2, 4)))],
            r'input_ids cannot be batched: its shapes differ, \(1, 4\) and \(2, 4\)',
        ),
        ([dict(file_name='1.jpg')], 'file_name cannot be batched: its values are str, not numbers'),
    ],
)
def test_what_does_not_fit_together_is_said(samples, message):
    with pytest.raises(ValueError, match=message):
        collate(samples)


def _lent(samples):
    return torch.utils.data.DataLoader(
        samples, batch_size=2, num_workers=1, multiprocessing_context='fork', collate_fn=collate
    )


def test_a_worker_fills_memory_again_only_when_the_batch_is_gone():
    samples = images(*[(40, 50)] * 40)
    expected = [collate(samples[i : i + 2])['image'] for i in range(0, 40, 2)]
    kept = [batch['image'][1:] for batch in _lent(samples)]  # a view keeps the memory of its batch
    assert all(one.equal(other[1:]) for one, other in zip(kept, expected, strict=True))
    places = set()
    for batch, other in zip(_lent(samples), expected, strict=True):
        assert type(batch['image']) is torch.Tensor and batch['image'].equal(other)
        places.add(batch['image'].untyped_storage().data_ptr())
        del batch
    assert len(places) < len(kept) / 2


def test_a_worker_can_compute_with_its_batch():
    loader = torch.utils.data.DataLoader(
        images(*[(40, 50)] * 2),
        batch_size=2,
        num_workers=1,
        multiprocessing_context='fork',
        collate_fn=lambda samples: dict(mean=collate(samples)['image'].float().mean()),
    )
    assert next(iter(loader))['mean'] > 50


def test_shared_memory_has_few_sizes_and_little_to_spare(monkeypatch):
    monkeypatch.setattr(shared_canvas, '_pieces', [])
    wanted = range(1 << 16, 1 << 17, 777)
    taken = [len(shared_canvas._acquire(size)) for size in wanted]
    assert all(size <= got <= 1.125 * size for size, got in zip(wanted, taken)) and len(set(taken)) <= 9
