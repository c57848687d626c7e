"""tools/analysis/get_flops.py, against counts by hand."""

import pytest
import torch
from torch import nn

from soho.registry import MODELS


@pytest.fixture(scope='module')
def get_flops(load_tool):
    return load_tool('analysis/get_flops')


def test_convolution(get_flops):
    conv = nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1)
    image = torch.zeros(1, 3, 16, 20)
    counts = get_flops.count_flops(dict(conv=conv), lambda: conv(image))
    assert counts == dict(conv=2 * (8 * 10) * (3 * 3 * 3) * 8, rest=0)
    assert get_flops.count_parameters(dict(conv=conv, again=conv)) == dict(conv=8 * 27 + 8, again=0)


def test_attention(get_flops):
    """Two layers of BERT on 6 words and 5 cells: four projections, scores, weighted sums, and two products of the
    feed-forward part."""
    length, size, inner, layers = 11, 32, 64, 2
    language = MODELS.build(
        dict(
            type='CrossModalBert',
            vocab_size=60,
            hidden_size=size,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=inner,
        )
    ).eval()
    words, cells = torch.ones(1, 6, dtype=torch.int64), torch.zeros(1, 5, size)
    counts = get_flops.count_flops(
        dict(language=language), lambda: language(words, words, cells, torch.ones(1, 5, dtype=torch.bool))
    )
    by_hand = layers * 2 * (4 * length * size**2 + 2 * length**2 * size + 2 * length * size * inner)
    assert counts == dict(language=by_hand, rest=0)


def test_work_outside_of_forward_belongs_to_the_part(get_flops):
    part = nn.ModuleDict(dict(layer=nn.Linear(4, 5)))  # whose own forward nobody calls
    loose = torch.zeros(2, 4)
    counts = get_flops.count_flops(dict(part=part), lambda: (part['layer'](loose), loose @ loose.t()))
    assert counts == dict(part=2 * 2 * 4 * 5, rest=2 * 2 * 4 * 2)


@pytest.mark.parametrize('task', ['pretrain', 'vqa'])
def test_every_part_of_soho_is_counted(get_flops, make_model, task):
    model = make_model(task)
    small, large = (
        get_flops.count_flops(
            get_flops.parts_of(model),
            lambda shape=shape: model(
                mode='loss', **model.data_preprocessor(get_flops.make_batch(model, shape, tokens=9))
            ),
        )
        for shape in ((64, 64), (128, 64))
    )
    assert all(small[name] for name in small if name != 'rest') and not small['rest']
    assert large['backbone'] == 2 * small['backbone'] and large['neck'] == 2 * small['neck']
    assert large['language'] > small['language']
    assert sum(get_flops.count_parameters(get_flops.parts_of(model)).values()) == sum(
        parameter.numel() for parameter in model.parameters()
    )


@pytest.mark.parametrize('task', ['bicaptioning', 'masked_lm', 'classification'])
def test_every_part_of_virtex_is_counted(get_flops, make_virtex, task):
    model = make_virtex(task)
    batch = model.data_preprocessor(get_flops.make_batch(model, (64, 64), tokens=9))
    counts = get_flops.count_flops(get_flops.parts_of(model), lambda: model(mode='loss', **batch))
    assert counts['backbone'] and not counts['rest']
    assert task == 'classification' or counts['language']


def test_the_table(get_flops, capsys):
    get_flops.main(['demo/vqa', '--shape', '72', '96'])
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert list(rows) == ['part', 'backbone', 'neck', 'language', 'heads.vqa', 'total']
    figures = [float(rows[name][1]) for name in rows if name not in ('part', 'total')]
    assert float(rows['total'][1]) == pytest.approx(sum(figures), abs=0.003)


def test_what_cannot_be_counted_is_one_sentence(get_flops):
    with pytest.raises(SystemExit, match='a sentence three tokens'):
        get_flops.main(['demo/vqa', '--tokens', '1'])
