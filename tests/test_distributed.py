"""Two processes with half the batch each learn and answer what one with the whole batch does."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soho.engine import load_config

SCRIPT = Path(__file__).with_name('distributed_run.py')


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location('distributed_run', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def configs(tiny_config, run_training, synthetic, tmp_path, monkeypatch):
    """What is run, by one process or with ``launcher='pytorch'`` by two."""
    monkeypatch.setenv('SOHO_SYNTHETIC', str(synthetic))
    detection = load_config(str(SCRIPT.parents[1] / 'configs/demo/detection.py'))
    detection.merge_from_dict(
        {
            'test_dataloader.batch_size': 1,
            'test_dataloader.num_workers': 0,
            'test_dataloader.persistent_workers': False,
            'model.regions.score_threshold': 0.0,
            'model.regions.max_detections': 5,
            'work_dir': str(tmp_path / 'detection'),
        }
    )
    run_training('vqa').save_checkpoint(str(tmp_path), 'model.pth')

    def make(launcher, batch_size):
        # Larger weights, so that the image's share of the gradients stands out from rounding errors.
        changes = {
            'iters': 1,
            'launcher': launcher,
            'randomness.diff_rank_seed': True,
            'train_dataloader.batch_size': batch_size,
            'model.language.initializer_range': 0.2,
        }
        restart = dict(num_words=64, decay=0.4, unused_words='restart', restart_below=2.0)
        return dict(
            steps=dict(
                pretrain=tiny_config('pretrain', **changes).to_dict(),
                restart=tiny_config('pretrain', **changes, **{'model.neck.dictionary': restart}).to_dict(),
                vqa=tiny_config('vqa', **changes).to_dict(),
                own_statistics=tiny_config('vqa', **changes, sync_bn=False).to_dict(),
            ),
            evaluations=dict(
                vqa=tiny_config('vqa', launcher=launcher, load_from=str(tmp_path / 'model.pth')).to_dict(),
                detection=dict(detection, launcher=launcher, experiment_name=f'detection_{launcher}'),
            ),
        )

    return make


def torchrun(configs, folder):
    (folder / 'configs.json').write_text(json.dumps(configs))
    process = subprocess.run(
        [
            sys.executable,
            '-m',
            'torch.distributed.run',
            '--standalone',
            '--nproc-per-node',
            '2',
            SCRIPT,
            folder / 'configs.json',
            folder,
        ],
        env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(SCRIPT.parents[1])),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    return [torch.load(folder / f'rank{rank}.pt') for rank in range(2)]


@pytest.mark.slow
def test_two_processes_are_one(script, configs, synthetic, tmp_path):
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    one = script.run(configs('none', 8), tmp_path / 'one')
    two = torchrun(configs('pytorch', 4), tmp_path / 'two')

    for task in ('pretrain', 'restart', 'vqa'):
        assert one[task]['gradients'].keys() == two[0][task]['gradients'].keys()
        for kind in ('gradients', 'buffers'):
            for name, expected in one[task][kind].items():
                scale = expected.abs().max().item() if expected.is_floating_point() else 0
                for rank in two:
                    torch.testing.assert_close(
                        rank[task][kind][name],
                        expected,
                        rtol=0,
                        atol=3e-3 * scale + 1e-6,
                        msg=lambda text, where=f'{task} {kind} {name}': f'{where}: {text}',
                    )
    for task in ('restart', 'own_statistics'):
        for name, value in two[0][task]['buffers'].items():
            assert value.equal(two[1][task]['buffers'][name]), f'{task}: {name} differs between the ranks'
    mean = 'backbone.bn1.running_mean'
    assert not two[0]['own_statistics']['buffers'][mean].allclose(one['own_statistics']['buffers'][mean])

    # Eight images in batches of three: the ranks answer unequally many, and none twice.
    answers = [json.loads((tmp_path / name / 'vqa.json').read_text()) for name in ('one', 'two')]
    questions = json.loads((synthetic / 'v2_OpenEnded_mscoco_val2014_questions.json').read_text())['questions']
    assert len(answers[0]) == len(questions) and answers[0] == answers[1]
    assert [rank['metrics'] for rank in two] == [one['metrics']] * 2

    found = [json.loads((tmp_path / name / 'detection.json').read_text()) for name in ('one', 'two')]
    assert len(found[0]) == 8 * 5 and [item.keys() for item in found[0]] == [item.keys() for item in found[1]]
    for a, b in zip(*found):
        assert (a['image_id'], a['category_id']) == (b['image_id'], b['category_id'])
        assert a['score'] == pytest.approx(b['score'], rel=1e-4) and a['bbox'] == pytest.approx(b['bbox'], abs=1e-2)
