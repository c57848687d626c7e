"""The atlas shows cells that belong to their word, on the picture, and moves nothing."""

import functools

import numpy as np
import pytest
import torch

from soho.datasets.collate import collate
from soho.models import SOHO
from soho.visualization.dictionary_atlas import Atlas, Cells, read_cells
from soho.visualization.pictures import crop_patch, jpeg_uri

SIZES = [(96, 128), (64, 64), (128, 96), (80, 112), (96, 96)]
NUM_WORDS = 12
to_batch = functools.partial(collate, size_divisor=16)


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    model = SOHO(
        backbone=dict(type='ResNet', depth=18, num_stages=3, out_indices=(2,)),
        neck=dict(
            type='DictionaryNeck', in_channels=256, out_channels=16, pool=1, dictionary=dict(num_words=NUM_WORDS)
        ),
        language=dict(
            type='CrossModalBert',
            vocab_size=30,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
        ),
        heads=dict(mlm=dict(type='MLMHead')),
    )
    # Words near the features, so that several are used.
    model.neck.vq.embed.mul_(0.5)
    return model


@pytest.fixture(scope='module')
def samples():
    rng = np.random.default_rng(0)
    return [
        dict(image=rng.integers(0, 256, (h // 16, w // 16, 3), np.uint8).repeat(16, 0).repeat(16, 1)) for h, w in SIZES
    ]


@pytest.fixture(scope='module')
def cells(model, samples):
    return read_cells(model, samples, range(len(samples)), to_batch, batch_size=2)


def test_every_cell_of_every_picture_is_there_once(cells):
    for item, (h, w) in enumerate(SIZES):
        mine = cells.box[cells.item == item]
        assert len(mine) == (h // 16) * (w // 16)  # stride 16; none of the batch's padding
        assert len(np.unique(mine, axis=0)) == len(mine)
        areas = (mine[:, 2] - mine[:, 0]) * (mine[:, 3] - mine[:, 1])
        assert areas.sum() == pytest.approx(1, abs=1e-4)  # together they cover the picture


def test_patches_belong_to_their_word_and_nearest_come_first(model, samples):
    cells = read_cells(model, samples, range(len(samples)), to_batch, batch_size=1)
    atlas = Atlas(cells, NUM_WORDS)
    assert atlas.counts.sum() == len(cells.word) and 1 < atlas.used <= NUM_WORDS
    assert 1 <= atlas.perplexity <= atlas.used
    for word in np.flatnonzero(atlas.counts):
        patches = atlas.patches(int(word), 3)
        distances = [patch.distance for patch in patches]
        assert distances == sorted(distances)
        assert len({patch.item for patch in patches}) == len(patches)
        for patch in patches:
            h, w = SIZES[patch.item]
            batch = model.data_preprocessor(to_batch([samples[patch.item]]))
            with torch.no_grad():
                words = model.eval().encode_image(batch['image'], batch['image_size']).words[0]
            column, row = round(patch.box[0] * w / 16), round(patch.box[1] * h / 16)
            assert words[row * (w // 16) + column] == word


def test_looking_does_not_move_the_dictionary(model, samples):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    read_cells(model, samples, [0, 1], to_batch)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_words_are_picked_by_rank_of_usage_alone():
    # Word k is used by 20 - 2 k cells, each on a picture of its own; word 9 by cells of two pictures only.
    counts = [20 - 2 * word for word in range(9)] + [30]
    word = np.repeat(np.arange(10), counts)
    item = np.concatenate([np.arange(count) for count in counts[:9]] + [np.arange(30) % 2])
    atlas = Atlas(Cells(item, word, np.zeros(len(word)), np.zeros((len(word), 4))), 10)
    assert atlas.well_used(3, samples=3) == [0, 2, 4]
    assert atlas.well_used(20, samples=19) == [0]


def test_model_without_dictionary_is_said(model, samples):
    plain = SOHO(
        backbone=dict(type='ResNet', depth=18, num_stages=3, out_indices=(2,)),
        neck=dict(type='PlainNeck', in_channels=256, out_channels=16, pool=1),
        language=dict(
            type='CrossModalBert',
            vocab_size=30,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
        ),
        heads=dict(mlm=dict(type='MLMHead')),
    )
    with pytest.raises(ValueError, match='PlainNeck has no visual dictionary'):
        read_cells(plain, samples, [0], to_batch)


def test_cut_holds_the_cell_and_its_surroundings():
    image = np.zeros((300, 400, 3), np.uint8)
    image[100:150, 200:250] = 255  # the cell of row 2, column 4 of a 6 x 8 grid
    atlas = Atlas(Cells(*(np.array([value]) for value in (0, 0, 0.0, (4 / 8, 2 / 6, 5 / 8, 3 / 6)))), 1)
    cut, (left, top, width, height) = crop_patch(image, atlas.patches(0, 1)[0])
    assert cut.shape == (150, 150, 3)
    white = np.argwhere(cut[..., 0] == 255)
    assert white.min(0).tolist() == [round(top * 150), round(left * 150)] == [50, 50]
    assert len(white) == round(width * 150) * round(height * 150)


def test_cut_at_the_edge_stays_on_the_picture():
    image = np.zeros((300, 400, 3), np.uint8)
    atlas = Atlas(Cells(*(np.array([value]) for value in (0, 0, 0.0, (7 / 8, 5 / 6, 1.0, 1.0)))), 1)
    cut, box = crop_patch(image, atlas.patches(0, 1)[0])
    assert cut.shape == (150, 150, 3)
    assert box == pytest.approx((2 / 3, 2 / 3, 1 / 3, 1 / 3))


def test_pictures_are_inside_the_address():
    assert jpeg_uri(np.zeros((40, 60, 3), np.uint8), longest=30).startswith('data:image/jpeg;base64,')
