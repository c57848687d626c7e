"""FSDP2: two ranks that shard a model learn what two that copy it learn, and what one does; any number goes on."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from soho.engine import Runner
from soho.engine.checkpoint.newest import newest_checkpoint
from soho.engine.checkpoint.read import read_checkpoint, read_header
from soho.engine.fsdp import FSDP2 as Wrapper
from soho.errors import UserError
from tests.engine.sharded_runs import FSDP2, HALF, ShardedModel, sharded_config
from tests.engine.soak import attempt_ranks, differences

ROOT = Path(__file__).resolve().parents[2]
SHARDED = {'default_hooks.checkpoint.sharded': True}


def logs(folder):
    return '\n'.join(path.read_text()[-4000:] for path in sorted(folder.glob('rank*.log')))


def train_ranks(folder, codes=(0, 0), stopped=None, act=Runner.train, **options):
    """Path of the newest checkpoint of a run of two ranks below ``folder``."""
    folder.mkdir(exist_ok=True)
    hook = [dict(type='StopAt', iteration=stopped) if stopped and rank == 1 else options.get('hook') for rank in (0, 1)]
    found = attempt_ranks(
        folder, 2, lambda rank: sharded_config(folder / 'run', **dict(options, hook=hook[rank])), seconds=900, act=act
    )
    assert found == list(codes), logs(folder)
    return newest_checkpoint([folder / 'run'])[0]


def learnt(path):
    """Weights and the optimizer's state, by place."""
    checkpoint = read_checkpoint(str(path))
    return {name: checkpoint[name] for name in ('state_dict', 'optimizer')}


def tensors(value, place=''):
    if isinstance(value, torch.Tensor):
        return {place: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {name: found for key, item in items for name, found in tensors(item, f'{place}.{key}').items()}


def largest_difference(one, other, without='nothing'):
    one, other = tensors(learnt(one)), tensors(learnt(other))
    assert one.keys() == other.keys()
    compared = [name for name in one if without not in name]
    return max((one[name].double() - other[name].double()).abs().max().item() for name in compared)


@pytest.mark.slow
def test_two_ranks_that_shard_a_model(tmp_path):
    copied = train_ranks(tmp_path / 'copied')
    sharded = train_ranks(tmp_path / 'sharded', wrapper=FSDP2)
    Runner.from_cfg(sharded_config(tmp_path / 'one', ranks=1)).train()
    one = newest_checkpoint([tmp_path / 'one'])[0]
    assert largest_difference(copied, sharded) < 1e-6
    # Batch-norm has other formulas, and on some processors a cell between two words then goes to the other of them.
    assert largest_difference(one, sharded, without='vq.') < 1e-5

    # Stopped between two updates, with each rank's part in a file of its own, and gone on with: to the bit.
    stopped = train_ranks(tmp_path / 'broken', codes=(75, 75), stopped=4, wrapper=FSDP2, **SHARDED)
    header = read_header(stopped)
    assert header['meta']['iter'] == 5 and header['state_dict']['first.weight'] is None
    assert {'__0_0.distcp', '__1_0.distcp'} < header['shards']['files'].keys()
    shutil.copytree(tmp_path / 'broken', tmp_path / 'copy')
    resumed = train_ranks(tmp_path / 'broken', wrapper=FSDP2, **SHARDED)
    assert resumed.endswith('iter_9.pth') and not differences(learnt(resumed), learnt(sharded))

    # One process takes over from two, and two from one.
    copy = tmp_path / 'copy' / 'run'
    runner = Runner.from_cfg(sharded_config(copy, ranks=1))
    runner.load_or_resume()
    assert not differences(dict(runner.model.state_dict()), dict(learnt(stopped)['state_dict']))
    saved, own = learnt(stopped)['optimizer']['state'], runner.optim_wrapper.optimizer.state_dict()['state']
    assert not differences(saved, own)
    gradients = read_checkpoint(stopped)['gradients'][0]
    assert all(p.grad.equal(g) for p, g in zip(runner.optim_wrapper._parameters(), gradients))
    runner = Runner.from_cfg(sharded_config(copy, ranks=1))
    runner.train()
    assert largest_difference(newest_checkpoint([copy])[0], sharded, without='vq.') < 1e-5
    train_ranks(tmp_path / 'copy', wrapper=FSDP2, hook=dict(type='SaveAtOnce'), iters=9)
    assert 'shards' in read_header(str(copy / 'again.pth'))
    assert not differences(learnt(copy / 'again.pth'), learnt(copy / 'iter_9.pth'))


def test_layers_are_gathered_in_bfloat16_but_for_their_norms(mesh):
    model = Wrapper(ShardedModel().eval(), wrap=['Layer'], mixed_precision=dict(param_dtype='bfloat16'))
    old, layer = dict(model.module.named_parameters()), model.module.layers[0]
    assert model.shard()[old['first.weight']] is model.module.first.weight and model.shard() == {}
    used = {}
    for name, part in dict(inner=layer.inner, norm=layer.norm, last=model.module.last).items():
        part.register_forward_hook(lambda part, *_, name=name: used.update({name: part.weight.dtype}))
    answer = model.val_step(dict(x=torch.randn(2, 4), index=torch.arange(2)))[0]['y']
    assert used == dict(inner=torch.bfloat16, norm=torch.float32, last=torch.float32)
    assert answer.isfinite().all() and model.module.state_dict()['layers.0.inner.weight'].dtype == torch.float32


@pytest.mark.slow
def test_mixed_precision_and_lookahead(tmp_path):
    """Products in bfloat16 differ by 2^-8; a layer whose weights are gathered in it rounds them as autocast does."""
    changes = dict(optim_wrapper=dict(HALF, _delete_=True), val=True, **{'train_cfg.val_interval': 2})
    copied = train_ranks(tmp_path / 'copied', **changes)
    mixed = dict(FSDP2, mixed_precision=dict(param_dtype='bfloat16'), reshard_after_forward=False)
    sharded = train_ranks(tmp_path / 'sharded', wrapper=mixed, **changes, **SHARDED)
    assert largest_difference(copied, sharded) < 2e-2
    checkpoint = read_checkpoint(sharded)
    assert checkpoint['optimizer']['lookahead']['slow'][0].shape == (7, 4)

    # Validated in between: the best is there, with its own shards and nobody else's, and is tested as it was.
    best = str(next((tmp_path / 'sharded' / 'run').glob('best_score_iter_*.pth')))
    assert checkpoint['message_hub']['runtime_info']['best_ckpt'] == Path(best).name
    folders = {path.name for path in (tmp_path / 'sharded' / 'run').glob('*.shards')}
    assert folders == {read_header(path)['shards']['folder'] for path in (best, sharded)}

    def predict(runner):
        torch.save(runner.test(), f'{runner.work_dir}/scores{runner.rank}.pt')

    def configure(rank):
        cfg = sharded_config(tmp_path / 'sharded' / 'run', wrapper=mixed, load_from=best, resume=False, **changes)
        cfg.update(test_dataloader=cfg.val_dataloader, test_evaluator=cfg.val_evaluator, test_cfg=dict(type='TestLoop'))
        return cfg

    assert attempt_ranks(tmp_path / 'sharded', 2, configure, 900, predict) == [0, 0], logs(tmp_path / 'sharded')
    ranks = [torch.load(tmp_path / 'sharded' / 'run' / f'scores{rank}.pt') for rank in (0, 1)]
    one = Runner.from_cfg(sharded_config(tmp_path / 'one', ranks=1, load_from=best, resume=False, **changes))
    one.load_or_resume()
    one.model.eval()
    with torch.no_grad():
        scores = [float(one.model.val_step(batch)[0]['y'].max()) for batch in one.val_loop.dataloader]
    assert ranks[0] == ranks[1] and -0.05 < ranks[0]['score'] - max(scores) < 1.05  # which adds a random number


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(custom_hooks=[dict(type='EMAHook')]), 'EMAHook copies the whole model'),
        (dict(custom_hooks=[dict(type='FoldNormsHook')]), 'FoldNormsHook copies the whole model'),
        (dict(test_cfg=dict(type='RetrievalTestLoop')), 'test_cfg of the config is a RetrievalTestLoop'),
        (dict(compile=True), 'compile of the config does not go with FSDP2'),
        (
            {'model_wrapper_cfg.mixed_precision': dict(param_dtype='bfloat16')},
            "param_dtype of model_wrapper_cfg is 'bfloat16', and optim_wrapper is no AmpOptimWrapper",
        ),
    ],
)
def test_what_needs_the_whole_model_is_refused_before_anything_is_built(changes, message, tmp_path):
    with pytest.raises(UserError, match=message):
        Runner.from_cfg(sharded_config(tmp_path / 'run', wrapper=FSDP2, **changes))
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(wrap=['Layers']), "names 'Layers', and the model has no module of this class; it has .*Layer"),
        (dict(mixed_precision=dict(param_type='bfloat16')), "has no 'param_type'; it has param_dtype, reduce_dtype"),
        (dict(mixed_precision=dict(param_dtype='half')), "param_dtype is 'half'; choose one of float32, float16"),
    ],
)
def test_a_wrong_setting_is_said(options, message):
    with pytest.raises(UserError, match=message):
        Wrapper(ShardedModel(), **options)


def test_one_process_leaves_the_wrapper_out(tmp_path):
    runner = Runner.from_cfg(sharded_config(tmp_path / 'run', ranks=1, wrapper=FSDP2, iters=1, **SHARDED))
    runner.train()
    assert [path.name for path in (tmp_path / 'run').glob('iter*')] == ['iter_1.pth']


@pytest.mark.slow
def test_two_machines(tmp_path):
    """Two launchers, as on two machines, with the variables that the documents name."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    (tmp_path / 'run').mkdir()
    nodes = []
    for rank in (0, 1):
        environment = dict(os.environ, NNODES='2', NODE_RANK=str(rank), MASTER_ADDR='127.0.0.1', PORT=str(port))
        environment.update(PYTHON=sys.executable, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1', GLOO_SOCKET_IFNAME='lo')
        script = [ROOT / 'tools' / 'launch.sh', ROOT / 'tests' / 'engine' / 'sharded_runs.py', '1', tmp_path / 'run']
        log = open(tmp_path / f'rank{rank}.log', 'w')
        with log:
            nodes.append(subprocess.Popen(['bash', *script], env=environment, stdout=log, stderr=log))
    try:
        assert [node.wait(900) for node in nodes] == [0, 0], logs(tmp_path)
    finally:
        for node in nodes:
            node.kill()
    path = newest_checkpoint([tmp_path / 'run'])[0]
    meta = read_checkpoint(path)['meta']
    assert path.endswith('iter_9.pth') and meta['world_size'] == 2
