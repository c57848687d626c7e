"""Runs: checkpoints that anybody can read, going on where a run stopped, refusing what cannot be used."""

import os
import re
from contextlib import contextmanager

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim.optimizer import apex_optimizer_wrapper
from mmengine.runner import CheckpointLoader

from soho.engine import Runner
from soho.engine.checkpoint.read import CheckpointError
from soho.errors import TrainingError
from soho.registry import HOOKS


@pytest.fixture
def trained(run_training, tmp_path):
    """The checkpoint of a VQA run of one epoch."""
    run_training('vqa')
    return tmp_path / 'run' / 'epoch_1.pth'


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def test_a_checkpoint_is_plain_data(trained):
    checkpoint = torch.load(trained, weights_only=True)
    assert {'state_dict', 'optimizer', 'param_schedulers', 'message_hub', 'meta'} <= set(checkpoint)
    assert checkpoint['meta']['epoch'] == 1
    # Weights are under the names of the parts, and constants are not among them.
    assert {name.split('.')[0] for name in checkpoint['state_dict']} == {'backbone', 'neck', 'language', 'heads'}


@pytest.mark.parametrize('task', ['pretrain', 'vqa'])
@pytest.mark.parametrize('amp', [False, True])
def test_resuming_gives_the_weights_of_an_unbroken_run(task, amp, run_training, tmp_path):
    changes = {'optim_wrapper.type': 'AmpOptimWrapper'} if amp else {}
    whole = run_training(task, epochs=2, work_dir=str(tmp_path / 'whole'), **changes)
    run_training(task, epochs=1, work_dir=str(tmp_path / 'parts'), **changes)
    resumed = run_training(task, epochs=2, work_dir=str(tmp_path / 'parts'), resume=True, **changes)
    assert resumed.iter == whole.iter and resumed.epoch == 2
    one, two = (torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True) for name in ('whole', 'parts'))
    torch.testing.assert_close(two['state_dict'], one['state_dict'], rtol=0, atol=0)
    torch.testing.assert_close(two['optimizer']['state'], one['optimizer']['state'], rtol=0, atol=0)
    assert two['optimizer']['param_groups'] == one['optimizer']['param_groups']
    assert two['param_schedulers'] == one['param_schedulers']
    first = weights(tmp_path / 'parts' / 'epoch_1.pth')
    assert any(not value.equal(first[name]) for name, value in two['state_dict'].items())


def test_the_seed_decides(run_training, tmp_path):
    runs = [
        run_training('pretrain', iters=2, work_dir=str(tmp_path / str(i)), **{'randomness.seed': seed})
        for i, seed in enumerate((0, 0, 1))
    ]
    first, again, other = (run.model.state_dict() for run in runs)
    assert all(value.equal(again[name]) for name, value in first.items())
    assert not first['neck.conv.conv.weight'].equal(other['neck.conv.conv.weight'])


def test_accumulation_and_clipping(run_training):
    runner = run_training(
        'vqa', iters=4, **{'optim_wrapper.accumulative_counts': 2, 'optim_wrapper.clip_grad.max_norm': 0.5}
    )
    state = runner.optim_wrapper.optimizer.state_dict()['state']
    assert {s['step'] for s in state.values() if 'step' in s} == {2}
    assert runner.message_hub.get_scalar('train/grad_norm').current() > 0


class Amp:
    """In place of ``apex.amp``, which is built on GPUs only: a fixed loss scale, and nothing in float16."""

    SCALE = 8.0

    def initialize(self, model, optimizer, **options):
        optimizer._amp_stash = self
        self.options = options
        return model, optimizer

    @contextmanager
    def scale_loss(self, loss, optimizer):
        yield loss * self.SCALE
        for p in (p for group in optimizer.param_groups for p in group['params'] if p.grad is not None):
            p.grad /= self.SCALE

    def state_dict(self):
        return dict(loss_scaler0=dict(loss_scale=self.SCALE, unskipped=0))

    def load_state_dict(self, state):
        self.loaded = state


@pytest.mark.parametrize('task', ['pretrain', 'vqa'])
def test_apex_trains_and_goes_on(task, run_training, tmp_path, monkeypatch):
    amp = Amp()
    monkeypatch.setattr(apex_optimizer_wrapper, 'apex_amp', amp)
    apex = {'optim_wrapper.type': 'ApexOptimWrapper', 'optim_wrapper.opt_level': 'O1'}
    plain = run_training(task, epochs=2, work_dir=str(tmp_path / 'plain'))
    run_training(task, epochs=1, work_dir=str(tmp_path / 'apex'), **apex)
    assert amp.options['opt_level'] == 'O1'
    saved = torch.load(tmp_path / 'apex' / 'epoch_1.pth', weights_only=True)['optimizer']
    assert saved['apex_amp'] == amp.state_dict()
    resumed = run_training(task, epochs=2, work_dir=str(tmp_path / 'apex'), resume=True, **apex)
    assert amp.loaded == amp.state_dict()
    # A power of two scales without rounding.
    torch.testing.assert_close(resumed.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)


def test_a_download_is_kept_under_its_name_without_the_query(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    asked = []

    def download(url, path, progress):
        asked.append(url)
        torch.save(dict(state_dict=dict(weight=torch.ones(1))), path)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    for _ in range(2):
        checkpoint = CheckpointLoader.load_checkpoint('https://example.org/a/x.pth?dl=1', 'cpu')
        assert checkpoint['state_dict']['weight'].item() == 1
    assert asked == ['https://example.org/a/x.pth?dl=1']
    assert [path.name for path in (tmp_path / 'checkpoints').iterdir()] == ['x.pth']


class Trap:
    """Runs a command when unpickled by a loader that lets code run."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f'touch {self.path}',)


@pytest.mark.parametrize('protocol', ['zip', 'legacy'])
@pytest.mark.parametrize('how', ['load_from', 'resume', 'test', 'init_cfg'])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(protocol, how, tiny_config, tmp_path):
    bad, mark = tmp_path / 'bad.pth', tmp_path / 'the code ran'.replace(' ', '_')
    torch.save(dict(state_dict=dict(), trap=Trap(mark)), bad, _use_new_zipfile_serialization=protocol == 'zip')
    cfg = tiny_config('vqa', resume=how == 'resume')
    if how == 'init_cfg':
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(bad))
    else:
        cfg.load_from = str(bad)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(CheckpointError, match=r'bad\.pth holds more than tensors and plain values.*was refused'):
        runner.test() if how == 'test' else runner.train()
    assert not mark.exists()
    torch.load(bad, weights_only=False)
    assert mark.exists()  # the trap works


def cut(path):
    path.write_bytes(path.read_bytes()[:-2000])


def overwrite(path):
    path.write_text('no checkpoint')


def rename(path):
    torch.save({f'other.{name}': value for name, value in weights(path).items()}, path)


def widen(path):
    state = weights(path)
    state['heads.vqa.classifier.3.bias'] = torch.zeros(7)
    torch.save(dict(state_dict=state), path)


def as_list(path):
    torch.save([torch.zeros(2)], path)


def lose_entry(path):
    state = weights(path)
    del state['heads.vqa.classifier.0.weight']
    torch.save(dict(state_dict=state), path)


@pytest.mark.parametrize(
    'damage, message',
    [
        (cut, r'epoch_1\.pth is damaged, cut short or no checkpoint'),
        (overwrite, r'epoch_1\.pth is no checkpoint: it begins neither as a zip nor as a pickle'),
        (as_list, r'epoch_1\.pth holds a list; a checkpoint is a dict'),
        (rename, r'epoch_1\.pth has no weight of this model; it begins with other\.backbone'),
        (widen, r'does not fit: heads\.vqa\.classifier\.3\.bias has shape \(7,\), the model wants \(\d+,\)'),
        (lose_entry, r'epoch_1\.pth is incomplete: .*heads\.vqa'),
        (os.remove, r'there is no checkpoint .*epoch_1\.pth'),
    ],
)
def test_what_cannot_be_tested_is_said(damage, message, trained, tiny_config):
    damage(trained)
    with pytest.raises((CheckpointError, FileNotFoundError), match=re.compile(message, re.DOTALL)):
        Runner.from_cfg(tiny_config('vqa', load_from=str(trained))).test()


def test_fine_tuning_takes_what_fits_and_says_what_does_not(run_training, tiny_config, tmp_path):
    """From pretraining to VQA: the heads are new, the dictionary is left behind."""
    run_training('pretrain', work_dir=str(tmp_path / 'pre'))
    pretrained = tmp_path / 'pre' / 'epoch_1.pth'
    runner = Runner.from_cfg(tiny_config('vqa', load_from=str(pretrained)))
    runner.load_or_resume()
    source, own = weights(pretrained), runner.model.state_dict()
    taken = [name for name in own if name in source]
    assert {name.split('.')[0] for name in taken} == {'backbone', 'neck', 'language'}
    assert all(own[name].equal(source[name]) for name in taken)
    log = (tmp_path / 'run').glob('*/*.log')
    text = next(log).read_text()
    assert re.search(r'epoch_1\.pth: .*\d+ entries loaded', text) and 'heads.vqa' in text and 'neck.vq' in text


def test_float16_weights_are_taken_as_float32(trained, tiny_config):
    state = weights(trained)
    torch.save(dict(state_dict={n: v.half() if v.is_floating_point() else v for n, v in state.items()}), trained)
    runner = Runner.from_cfg(tiny_config('vqa', load_from=str(trained)))
    runner.load_or_resume()
    assert {v.dtype for v in runner.model.state_dict().values()} == {torch.float32, torch.int64}


@HOOKS.register_module(force=True)
class SpoilWeights(Hook):
    """Puts a number that is none into the model before iteration 2 (counted from 0)."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 2:
            runner.model.heads['vqa'].classifier[-1].bias.data[0] = float('nan')


def test_a_run_stops_at_a_loss_that_is_no_number(tiny_config):
    guard = dict(type='FiniteLossHook', interval=1, max_skipped=3)
    runner = Runner.from_cfg(tiny_config('vqa', custom_hooks=[dict(type='SpoilWeights'), guard]))
    with pytest.raises(TrainingError, match=r'loss is nan at iteration 5: training stopped; the last 3 updates were'):
        runner.train()
    assert runner.iter == 4


def test_one_process_evaluates_each_question_once(trained, tiny_config):
    runner = Runner.from_cfg(tiny_config('vqa', load_from=str(trained)))
    metrics = runner.test()
    assert 0 <= metrics['accuracy'] <= 100 and {'accuracy_number', 'accuracy_other', 'accuracy_yes_no'} < set(metrics)
    assert runner.test() == metrics


@pytest.mark.parametrize('rank', [0, 1])
def test_ranks_draw_different_masks_and_share_the_order_of_the_data(rank, tiny_config, monkeypatch):
    monkeypatch.setattr('mmengine.runner.utils.get_rank', lambda: rank)
    monkeypatch.setattr(Runner, 'rank', property(lambda self: rank))
    runner = Runner.from_cfg(tiny_config(iters=1, randomness=dict(seed=7, diff_rank_seed=True)))
    assert torch.initial_seed() == 7 + rank
    assert runner.seed == 7
    loader = runner.build_dataloader(dict(runner.cfg.train_dataloader), seed=runner.seed, diff_rank_seed=True)
    assert loader.batch_sampler.sampler.seed == 7


def test_the_model_goes_to_the_gpu_of_its_process(tiny_config, monkeypatch):
    """mpirun sets no LOCAL_RANK; mmengine chooses the device from what it does set."""
    built = {}
    runner = Runner.from_cfg(tiny_config(iters=1))
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setattr(Runner, 'distributed', property(lambda self: True))
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'current_device', lambda: 3)
    monkeypatch.setattr(torch.nn.Module, 'cuda', lambda self, device=None: built.update(device=device))
    monkeypatch.setattr('soho.engine.runner.MODEL_WRAPPERS.build', lambda cfg, default_args: built.update(default_args))
    runner.wrap_model(None, runner.model)
    assert built['device'] == torch.device('cuda', 3) and built['device_ids'] == [3]
