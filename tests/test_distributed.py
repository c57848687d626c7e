"""Two processes with half the batch each learn and answer what one with the whole batch does."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soho.engine import load_config
from soho.engine.distributed import name_ranks
from soho.errors import UserError

SCRIPT = Path(__file__).with_name('distributed_run.py')


# Of gradients and of buffers, in units of each tensor's norm. In half precision each rank rounds the gradients of its
# own half of the batch.
BOUNDS = dict(
    pretrain=(1e-3, 1e-4),
    restart=(1e-3, 1e-4),
    vqa=(1e-3, 1e-4),
    accumulated=(1e-3, 1e-4),
    wrapped=(1e-3, 1e-4),
    bfloat16=(5e-2, 1e-2),
    float16=(5e-2, 1e-2),  # whose convolutions are in bfloat16, see tests/half_precision.py
)


def too_far(expected, found, bound, least):
    """Tensors whose difference has more than ``bound`` of their norm, or of ``least`` where that is larger."""
    apart = {
        name: (found[name].double() - value.double()).norm().item() / max(value.double().norm().item(), least)
        for name, value in expected.items()
    }
    return {name: value for name, value in apart.items() if not value <= bound}


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
        accumulated = dict(changes, iters=2, **{'optim_wrapper.accumulative_counts': 2})
        half = {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.loss_scale': dict(init_scale=128.0)}
        return dict(
            steps=dict(
                pretrain=tiny_config('pretrain', **changes).to_dict(),
                restart=tiny_config('pretrain', **changes, **{'model.neck.dictionary': restart}).to_dict(),
                vqa=tiny_config('vqa', **changes).to_dict(),
                own_statistics=tiny_config('vqa', **changes, sync_bn=False).to_dict(),
                accumulated=tiny_config('pretrain', **accumulated).to_dict(),
                bfloat16=tiny_config('vqa', **accumulated, **half, **{'optim_wrapper.dtype': 'bfloat16'}).to_dict(),
                float16=tiny_config('vqa', **accumulated, **half, **{'optim_wrapper.dtype': 'float16'}).to_dict(),
                wrapped=tiny_config('vqa', **changes, model_wrapper_cfg=dict(bucket_cap_mb=1)).to_dict(),
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
        timeout=900,
    )
    assert process.returncode == 0, process.stderr
    return [torch.load(folder / f'rank{rank}.pt') for rank in range(2)]


@pytest.mark.slow
def test_two_processes_are_one(script, configs, synthetic, tmp_path):
    for name in ('one', 'two'):
        (tmp_path / name).mkdir()
    one = script.run(configs('none', 8), tmp_path / 'one')
    two = torchrun(configs('pytorch', 4), tmp_path / 'two')

    for task, (gradients, buffers) in BOUNDS.items():
        assert one[task]['gradients'].keys() == two[0][task]['gradients'].keys()
        for rank in two:
            # A gradient that is zero but for rounding, as that of a key's bias, is measured by those of the others.
            least = 1e-3 * max(gradient.norm().item() for gradient in one[task]['gradients'].values())
            assert too_far(one[task]['gradients'], rank[task]['gradients'], gradients, least) == {}, task
            assert too_far(one[task]['buffers'], rank[task]['buffers'], buffers, 1e-6) == {}, task
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


@pytest.mark.skipif(not shutil.which('mpirun'), reason='there is no mpirun here')
def test_mpirun_starts_the_processes(tiny_config, tmp_path):
    config = tmp_path / 'config.py'
    tiny_config(iters=1).dump(str(config))
    mpirun = ['mpirun', '--allow-run-as-root', '--oversubscribe', '--bind-to', 'none', '-np', '2']
    subprocess.run(
        [*mpirun, sys.executable, SCRIPT.parents[1] / 'tools/train.py', config, '--launcher', 'mpi'],
        check=True,
        capture_output=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        cwd=tmp_path,
    )
    log = next(tmp_path.rglob('*.log')).read_text()
    assert 'Distributed launcher: mpi' in log and 'GPU number: 2' in log
    assert list(tmp_path.rglob('epoch_1.pth'))


RANKS = dict(
    mpi=dict(OMPI_COMM_WORLD_RANK='1', OMPI_COMM_WORLD_SIZE='2', OMPI_COMM_WORLD_LOCAL_RANK='1'),
    slurm=dict(SLURM_PROCID='1', SLURM_NTASKS='2', SLURM_LOCALID='1', MASTER_ADDR='node7'),
)


@pytest.mark.parametrize('launcher', RANKS)
def test_ranks_are_named_as_the_launcher_counts_them(launcher, monkeypatch):
    one_machine = dict(OMPI_COMM_WORLD_LOCAL_SIZE='2') if launcher == 'mpi' else {}
    environment = {**RANKS[launcher], **one_machine}
    monkeypatch.setattr(os, 'environ', environment)
    name_ranks(launcher)
    assert [environment[name] for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')] == ['1', '2', '1']
    assert environment['MASTER_ADDR'] == ('127.0.0.1' if launcher == 'mpi' else 'node7')


@pytest.mark.parametrize(
    'launcher, environment, sentence',
    [
        ('pytorch', {}, 'RANK is not set, so this process was not started by pytorch'),
        ('mpi', dict(RANKS['mpi'], OMPI_COMM_WORLD_LOCAL_SIZE='1'), 'several machines.*-x MASTER_ADDR'),
        ('slurm', dict(SLURM_PROCID='1', SLURM_NTASKS='2', SLURM_LOCALID='1', PATH=''), 'scontrol .*: set MASTER_ADDR'),
    ],
)
def test_a_launcher_that_did_not_start_the_process_is_said(launcher, environment, sentence, monkeypatch):
    monkeypatch.setattr(os, 'environ', environment)
    with pytest.raises(UserError, match=sentence):
        name_ranks(launcher)
