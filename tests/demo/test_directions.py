"""The table of the directions: pairs of configs, the order of the jobs, means and errors."""

import math
from pathlib import Path

import pytest

from demo.direction_table import compare, estimate, format_table, summarize
from demo.directions import ANSWERED_BY, CAPTIONED, DIRECTIONS, FINE_TUNED, Direction, direction_stages
from demo.plan import Places
from soho.engine import load_config
from soho.paths import CONFIGS

FOLDER = CONFIGS / 'demo' / 'directions'
PLACES = Places(CONFIGS / 'demo', CONFIGS.parent / 'tools', Path('data'), 'demo', Path('work_dirs'))
PAIR = Direction('d', 'one against other', 'one', 'other', ('vqa', 'colors'))


def code(variant):
    """The lines of a config without its docstring, and its base in the same folder, if there is one."""
    lines = (FOLDER / f'{variant}.py').read_text().split('"""')[2].strip().splitlines()
    base = lines[0].removeprefix("_base_ = './").removesuffix(".py'") if lines[0].startswith("_base_ = './") else None
    return lines, base


@pytest.mark.parametrize('direction', DIRECTIONS, ids=lambda direction: direction.name)
def test_a_pair_of_configs_differs_in_one_line(direction):
    if direction.name == 'half':
        pytest.skip('no pair: it is shorter, and starts from more')
    (better, base_of_better), (other, base_of_other) = code(direction.better), code(direction.other)
    if direction.better == base_of_other or direction.other == base_of_better:
        assert len(other if base_of_other == direction.better else better) == 2  # _base_ and the line
    else:
        assert len(better) == len(other) and sum(a != b for a, b in zip(better, other)) == 1


def test_the_configs_of_a_pair_differ_in_the_part_that_the_direction_names():
    def model(variant):
        return load_config(str(FOLDER / f'{variant}.py')).model

    whole = model('pretrain')
    assert whole.backbone.frozen_stages == -1 and whole.neck.dictionary.num_words == 256
    assert whole.heads.keys() - model('without_mvm').heads.keys() == {'mvm'}
    assert whole.heads.keys() - model('without_itm').heads.keys() == {'itm'}
    assert model('without_mvm').neck == whole.neck and model('plain_neck').neck.type == 'PlainNeck'
    assert model('frozen_cnn').backbone.frozen_stages == whole.backbone.num_stages
    assert [model(f'words_{number}').neck.dictionary.num_words for number in (64, 1024)] == [64, 1024]
    assert model('ungated').neck.gated is False and model('captioning').language.bidirectional is False
    half, full = (load_config(str(FOLDER / f'{name}.py')) for name in ('vqa_all_half', 'vqa_all'))
    assert 2 * half.train_cfg.max_iters <= full.train_cfg.max_iters and half.param_scheduler[1].T_max == 499
    assert load_config(str(FOLDER / 'vqa_cnn.py')).load_parts == ['backbone'] and 'load_parts' not in full
    pictures = {
        variant: (cfg := load_config(str(FOLDER / f'{variant}.py'))).train_cfg.max_iters
        * cfg.train_dataloader.batch_size
        for variant in CAPTIONED
    }
    assert len(set(pictures.values())) == 1, 'equal pictures'


def test_whole_directions_come_first_and_each_training_once():
    names = [stage.name for stage in direction_stages(PLACES, 3)]
    assert len(set(names)) == len(names)
    assert names[:8] == [
        'data',
        *(f'{variant}-seed{seed}' for seed in range(3) for variant in ('vqa_all', 'vqa_cnn')),
        'vqa_all_half-seed0',
    ]
    assert names.index('cnn_small_objects') > names.index('vqa_all_half-seed2')  # what a direction does not need waits
    assert names.index('without_mvm-seed2-vqa') < names.index('without_itm-seed0')
    variants = {name.partition('-')[0] for name in names if '-seed' in name}
    assert variants == {path.stem for path in FOLDER.glob('*.py')} - {ANSWERED_BY} >= set(FINE_TUNED)
    few = [stage.name for stage in direction_stages(PLACES, 1, [d for d in DIRECTIONS if d.name == 'labels'])]
    assert few[:2] == ['data', 'vocabulary'] and 'cnn_small_objects' not in few and few[-1] == 'labels-seed0-probe'


def test_mean_and_standard_error():
    found = estimate([60.0, 62.0, 67.0])
    assert found.mean == 63.0 and math.isclose(found.error, math.sqrt(13.0) / math.sqrt(3))
    assert str(found) == '63.0 ± 2.1' and str(estimate([60.0])) == '60.0'


def figures(**variants):
    """Figures by variant and seed, the same of every kind."""
    return {
        name: {seed: dict(vqa=value, colors=value) for seed, value in enumerate(values)}
        for name, values in variants.items()
    }


@pytest.mark.parametrize(
    ('one', 'other', 'verdict'),
    [
        # The seeds differ by more than the variants do, but each of them says the same.
        ((50.0, 60.0, 70.0), (48.0, 58.5, 67.5), 'yes'),
        ((48.0, 58.5, 67.5), (50.0, 60.0, 70.0), 'no, the reverse'),
        # Three standard errors, which three seeds exceed by chance once in ten times.
        ((50.0, 60.0, 70.0), (49.0, 58.0, 65.4), 'not shown'),
        ((50.0,), (40.0,), 'one seed'),
    ],
)
def test_whether_a_direction_holds(one, other, verdict):
    rows = compare(PAIR, figures(one=one, other=other), len(one))
    assert [row.verdict() for row in rows] == [verdict] * 2
    assert rows[0].difference.mean == pytest.approx(sum(one) / len(one) - sum(other) / len(other))


def test_the_table_says_what_has_not_been_run():
    found = figures(one=(50.0, 60.0, 70.0), other=(48.0, 58.5))
    last = format_table(found, 3, [PAIR]).splitlines()[-1]
    assert last == '| one against other | | | | | not run |'
    assert summarize(found, 3, [PAIR])['directions'] == {'d': {}}
    first, second = format_table(found, 2, [PAIR]).splitlines()[-2:]
    assert first == '| one against other | VQA | 55.0 ± 5.0 | 53.2 ± 5.2 | +1.8 ± 0.2 | not shown |'
    assert second.startswith('|  | masked colours | 55.0 ± 5.0 |')
    del found['one'][1]['colors']
    assert 'not run' in format_table(found, 2, [PAIR])
