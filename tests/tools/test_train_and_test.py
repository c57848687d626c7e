"""tools/train.py and tools/test.py as a user calls them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(tiny_config, tmp_path):
    """A VQA recipe of one epoch in a file."""
    cfg = tiny_config('vqa')
    cfg.pop('work_dir')
    cfg.pop('experiment_name')
    # mmengine names a run's log by recipe and second, and two tests may share a second.
    path = tmp_path / f'{tmp_path.name}.py'
    cfg.dump(path)
    return str(path)


@pytest.fixture
def train(load_tool, recipe, tmp_path):
    """Train the recipe below ``tmp_path / 'run'`` with these options."""
    tool = load_tool('train')
    return lambda *options: tool.main([recipe, '--work-dir', str(tmp_path / 'run'), *options])


def load(path):
    return torch.load(path, weights_only=True)


def test_train_resume_and_test(train, load_tool, recipe, synthetic, tmp_path, capsys):
    run = tmp_path / 'run'
    train()
    assert (run / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    assert (run / Path(recipe).name).exists() and list(run.glob('*/*.log'))

    train('--resume', '--cfg-options', 'train_cfg.max_epochs=2', 'optim_wrapper.optimizer.lr=5e-4')
    second = load(run / 'epoch_2.pth')
    assert second['meta']['epoch'] == 2 and second['meta']['iter'] == 2 * load(run / 'epoch_1.pth')['meta']['iter']
    stamp = (run / 'epoch_2.pth').stat().st_mtime_ns
    train('--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    assert (run / 'epoch_2.pth').stat().st_mtime_ns == stamp  # nothing was left to do

    out = tmp_path / 'answers.json'
    capsys.readouterr()
    metrics = load_tool('test').main([recipe, str(run / 'epoch_2.pth'), '--out', str(out), '--work-dir', str(run)])
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == metrics
    answers = json.loads(out.read_text())
    questions = json.loads((synthetic / 'v2_OpenEnded_mscoco_val2014_questions.json').read_text())['questions']
    assert [a['question_id'] for a in answers] == sorted(q['question_id'] for q in questions)
    known = set(json.loads((synthetic / 'val_data_vqa.json').read_text())['label2ans'])
    assert {frozenset(a) for a in answers} == {frozenset(('question_id', 'answer'))}
    assert {a['answer'] for a in answers} <= known


def test_resume_from_a_named_checkpoint(train, tmp_path):
    train('--cfg-options', 'train_cfg.max_epochs=2')
    (tmp_path / 'run' / 'epoch_2.pth').unlink()
    train('--resume', str(tmp_path / 'run' / 'epoch_1.pth'), '--cfg-options', 'train_cfg.max_epochs=2')
    assert load(tmp_path / 'run' / 'epoch_2.pth')['meta']['epoch'] == 2


@pytest.mark.parametrize('units', [True, False])
def test_mixed_precision(units, train, load_tool, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr('soho.platform.has_bfloat16_units', lambda: units)
    train('--amp')
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'AmpOptimWrapper' in log
    assert (
        load(tmp_path / 'run' / 'epoch_1.pth')['state_dict']['language.bert.encoder.layer.0.output.dense.weight'].dtype
        == torch.float32
    )

    logits = []
    for options in ([], ['--amp']):
        out = tmp_path / f'logits{len(options)}.npz'
        load_tool('test').main(
            [
                recipe,
                str(tmp_path / 'run' / 'epoch_1.pth'),
                '--dump',
                str(out),
                '--work-dir',
                str(tmp_path / 'run'),
                *options,
            ]
        )
        logits.append(np.load(out)['logits'])
    error = np.abs(logits[1] - logits[0]).max()
    assert (error > 0) == units and error < 0.05 * np.abs(logits[0]).max()


@pytest.mark.slow
def test_what_is_wrong_stands_last_on_the_screen(recipe, tmp_path):
    process = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'train.py'), recipe, '--cfg-options', 'modle.type=SOHO'],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode != 0 and not (tmp_path / 'work_dirs').exists()
    assert re.search(r"^error: .* has no key 'modle'; did you mean 'model'\?", process.stderr.strip().splitlines()[-1])
    assert 'Traceback' not in process.stderr
