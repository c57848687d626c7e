"""demo/run_directions.py on a tiny data set: jobs of every kind, an interruption, and the table."""

import json
from pathlib import Path

import pytest

import demo.directions
from demo import run_directions
from demo.progress import StageCache
from soho.paths import CONFIGS

pytestmark = pytest.mark.slow
LOADERS = """
loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader, val_dataloader, test_dataloader = loader, loader, loader
"""
EPOCHS = 'train_cfg = dict(max_epochs=1)\n'
STEPS = 'train_cfg = dict(max_iters=2, val_interval=2)\n'
DIRECTIONS = ('all', 'itm', 'frozen', 'labels')


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    """The demo's own recipes, a few steps each; the tiny data set has answers of its own."""
    folder = tmp_path_factory.mktemp('configs')
    (folder / 'directions').mkdir()
    for path in [*(CONFIGS / 'demo').glob('*.py'), *(CONFIGS / 'demo' / 'directions').glob('*.py')]:
        below = path.relative_to(CONFIGS / 'demo')
        text = f'"""Short."""\n_base_ = {str(path)!r}\n{LOADERS}'
        text += STEPS if below.parts[0] == 'directions' else EPOCHS
        (folder / below).write_text(text)
    return folder


def test_an_interrupted_table_goes_on(configs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('SOHO_SYNTHETIC', '')
    argv = ['--size', 'tiny', '--data-dir', str(tmp_path / 'data'), '--configs', str(configs)]
    argv += ['--work-dir', str(tmp_path / 'out'), '--processes', '0', '--seeds', '1', '--only', *DIRECTIONS]
    out = tmp_path / 'out' / 'directions'

    ran = []
    train = demo.directions._train

    def note(places, config, name, seed, resumed, load_from=None, options=None):
        ran.append(name)
        if name == 'pretrain-seed0-vqa' and ran.count(name) == 1:
            raise KeyboardInterrupt
        if config.stem.startswith('vqa'):
            number = len(json.loads((places.data_dir / 'train_data_vqa.json').read_text())['label2ans'])
            options = {**(options or {}), 'model.heads.vqa.num_classes': number}
        return train(places, config, name, seed, resumed, load_from, options)

    monkeypatch.setattr(demo.directions, '_train', note)
    with pytest.raises(SystemExit) as stopped:
        run_directions.main(argv)
    assert stopped.value.code == 130
    half = run_directions.main([*argv, '--show'])
    assert 'all weights against the CNN alone, equal steps | VQA |' in half and half.count('not run') == 3
    table = run_directions.main(argv)
    assert table.count('one seed') == 4 + 3 + 4 + 3 and 'not run' not in table
    assert ran.count('pretrain-seed0-vqa') == 2 and ran.count('pretrain-seed0') == 1  # what was done is not repeated

    figures = json.loads((out / 'figures.json').read_text())
    assert figures['measured']['pretrain']['0'].keys() >= {'vqa', 'matching', 'nouns', 'colors'}
    assert 'matching' not in figures['measured']['without_itm']['0']
    row = figures['directions']['labels']['color']
    assert row['difference'] == row['better'] - row['other'] and row['holds'] == 'one seed'
    assert (out / 'table.md').read_text() == table + '\n'
    job = json.loads((out / 'without_itm-seed0-vqa' / 'figures.json').read_text())
    assert job['seed'] == 0 and job['load_from'].startswith(str(out / 'without_itm-seed0'))
    assert job['figures']['vqa'] == figures['measured']['without_itm']['0']['vqa']
    capsys.readouterr()
    assert run_directions.main(argv) == table and 'started' not in capsys.readouterr().out
    assert all(record['status'] == 'done' for record in StageCache(out / 'state.json').records.values())
    assert Path(job['checkpoint']).exists()


def test_an_unknown_direction_is_refused(capsys):
    with pytest.raises(SystemExit):
        run_directions.main(['--only', 'sideways'])
    assert "invalid choice: 'sideways'" in capsys.readouterr().err
