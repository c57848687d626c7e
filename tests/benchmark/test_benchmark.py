"""soho.benchmark through its command: every part measures something, on the tiny world and tiny pictures."""
import json

import pytest


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('analysis/benchmark')


@pytest.fixture(scope='module')
def result(tool, world, tmp_path_factory):
    out = tmp_path_factory.mktemp('benchmark') / 'figures.json'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SOHO_WORLD', str(world))
        tool.main(['floors', 'vqa', 'data', 'startup', 'loop', '--device', 'cpu', '--images', '2', '--sentences', '2',
                   '--size', '64x96', '--repeat', '1', '--captions', '2000', '--out', str(out)])
    return json.loads(out.read_text())


def test_says_under_which_circumstances(result):
    assert {'date', 'device', 'dtype', 'threads', 'torch', 'command'} < result.keys()


def test_a_step_is_the_sum_of_its_parts_and_has_flops(result):
    figures = {row['what'].rpartition(': ')[2]: row['value'] for row in result['rows']
               if row['what'].startswith('vqa 2x2 at 64x96')}
    assert figures['step'] == pytest.approx(figures['forward'] + figures['backward'] + figures['optimizer'], rel=1e-6)
    # Three layers of width 768 over 16 words and a cell, four sentences; the last one at [CLS] only.
    assert 0.005 < figures['FLOPs'] < 0.02
    assert 0 < figures['of the matrix rate'] < 100


def test_every_figure_is_positive_and_named_once(result):
    names = [row['what'] for row in result['rows']]
    assert len(set(names)) == len(names)
    assert all(row['value'] > 0 and row['unit'] for row in result['rows'])
    assert {name.split(' at ')[0].split(':')[0] for name in names} >= {'data, VirTex, 224', 'demo fine-tuning', 'copy'}


def test_the_pipelines_of_the_recipes_stay_below_their_floors(result):
    figures = {row['what']: row['value'] for row in result['rows']}
    for recipe in ('pretraining, 1000x600', 'VQA, 1333x400 to 1333x800', 'demo, 96x72', 'VirTex, 224'):
        worker, resizing, decoding = (figures[f'data, {recipe}: {what}'] for what in (
            'one worker', 'decoding and resizing alone', 'decoding alone'))
        assert worker < 1.5 * decoding and resizing < 1.5 * decoding  # pictures of the tiny world are timed in a blink
    assert figures['2005 captions: memory of 8 workers'] > 1


def test_an_unknown_part_is_one_sentence(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(['everything'])
    assert "there is no part 'everything'; the parts are floors, pretrain" in capsys.readouterr().err
