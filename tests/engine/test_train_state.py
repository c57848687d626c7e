"""Going on from a file that is damaged or meant to do harm: one sentence, and nothing in it is run."""

import copy
import math
import os
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from soho.engine import Runner
from soho.engine.checkpoint.adapters.official_soho import to_official
from soho.engine.checkpoint.config_text import config_of, parse_config
from soho.engine.checkpoint.convert import convert_file
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint
from soho.engine.checkpoint.train_state import check_train_state
from soho.registry import HOOKS

CONFIGS = sorted((Path(__file__).resolve().parents[2] / 'configs').glob('[!_]*/*.py'))


@pytest.fixture
def trained(run_training, tmp_path):
    """The checkpoint of a VQA run of one epoch, and its runner."""
    runner = run_training('vqa', **{'optim_wrapper.clip_grad': None})
    return tmp_path / 'run' / 'epoch_1.pth', runner


def check(checkpoint, runner, **options):
    return check_train_state(checkpoint, 'file.pth', runner.optim_wrapper, runner.param_schedulers, **options)


def holders(value, path=()):
    """Every dict and list of a checkpoint with a way to it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from holders(item, (*path, key))


def change(checkpoint, path, value):
    """A copy of the checkpoint with another value at ``path``."""
    changed = copy.deepcopy(checkpoint)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return changed


def test_a_sound_file_passes_unchanged(trained):
    path, runner = trained
    checkpoint = read_checkpoint(str(path))
    checked = check(checkpoint, runner)
    assert checked['optimizer']['param_groups'] == checkpoint['optimizer']['param_groups']
    assert checked['optimizer']['state'].keys() == checkpoint['optimizer']['state'].keys()
    assert checked['message_hub']['log_scalars']['train/loss'].current() > 0


def test_every_damaged_value_is_refused_or_harmless(trained):
    """All values outside the weights, replaced one after the other by values of every other kind."""
    path, runner = trained
    checkpoint = read_checkpoint(str(path))
    checkpoint.pop('state_dict')
    # A few of hundreds of parameters are as good as all.
    state = checkpoint['optimizer']['state']
    checkpoint['optimizer']['state'] = {key: state[key] for key in list(state)[:2] + list(state)[-2:]}
    loop = []
    loop.append(loop)
    values = [None, 'text', -1, 2.5, math.nan, 10**30, [], loop, {}, {7: None}, torch.zeros(3, 2), torch.tensor(True)]
    refused = 0
    for place in holders(checkpoint):
        for value in values:
            try:
                checked = check(change(checkpoint, place, value), runner)
            except CheckpointError as error:
                assert re.match(r'file\.pth (is nothing to go on from: \S|holds ).{,400}\Z', str(error))
                refused += 1
                continue
            if 'optimizer' in checked:
                runner.optim_wrapper.load_state_dict(copy.deepcopy(checked['optimizer']))
            runner.message_hub.load_state_dict(checked['message_hub'])
    assert refused > 300


@pytest.mark.parametrize(
    'place, value, message',
    [
        (('meta', 'epoch'), '1', r"meta\.epoch is '1'; it is a whole number"),
        (('meta', 'iter'), 2.0, r'meta\.iter is 2\.0'),
        (('meta', 'seed'), -3, r'meta\.seed is -3'),
        (('message_hub',), None, 'it has no message_hub: these are weights'),
        (('message_hub', 'log_scalars', 'train/loss', 'history'), torch.zeros(1), 'no pair of equally long lists'),
        (('message_hub', 'runtime_info', 'keep_ckpt_ids'), ['../../x'], 'are no whole numbers'),
        (('optimizer', 'param_groups', 0, 'lr'), -1.0, 'cannot be negative'),
        (('optimizer', 'param_groups', 0, 'opt'), '_init__', "is '_init__', and in the run '(adamw|sgd)'"),
        (('optimizer', 'param_groups', 0, 'params'), [0], 'has 1 parameters, and in the run'),
        (('param_schedulers', 0, 'get_last_value'), 1, "'get_last_value', which a .* has not"),
        (('param_schedulers', 0, 'last_step'), '1', r'last_step'),
    ],
)
def test_what_is_wrong_is_said(place, value, message, trained):
    path, runner = trained
    checkpoint = read_checkpoint(str(path))
    with pytest.raises(CheckpointError, match=message):
        check(change(checkpoint, place, value), runner)


@pytest.mark.parametrize('shape', [(), (1,), (0,), (1, 3), (10**4,)])
def test_an_optimizer_state_of_another_shape_never_reaches_a_kernel(shape, trained):
    path, runner = trained
    checkpoint = read_checkpoint(str(path))
    key, entry = next((k, e) for k, e in checkpoint['optimizer']['state'].items() if len(e))
    name = next(name for name, value in entry.items() if isinstance(value, torch.Tensor) and value.numel() > 1)
    with pytest.raises(CheckpointError, match='has the shape'):
        check(change(checkpoint, ('optimizer', 'state', key, name), torch.zeros(shape)), runner)


@pytest.mark.parametrize('key', ['best_ckpt', 'best_ckpt_accuracy', 'last_ckpt'])
def test_no_file_is_deleted_that_the_run_did_not_write(key, trained, tmp_path):
    """mmengine deletes the former best checkpoint, wherever the file says that it is."""
    path, runner = trained
    checkpoint = read_checkpoint(str(path))
    for place, kept in (
        (str(tmp_path / 'mine.txt'), False),
        (str(path.parent / '..' / 'mine.txt'), False),
        ('a\0b', False),
        (str(path.parent / 'best_accuracy_epoch_1.pth'), True),
    ):
        changed = change(checkpoint, ('message_hub', 'runtime_info', key), place)
        info = check(changed, runner, folders=[runner.work_dir])['message_hub']['runtime_info']
        assert (key in info) is kept


class TestNothingRuns:
    """Each file would leave a mark if anything in it were executed, imported or looked up in a registry."""

    @pytest.fixture
    def attack(self, trained, tiny_config, tmp_path):
        """Resume from a changed checkpoint; returns the error."""
        path, _ = trained
        mark = tmp_path / 'mark'

        def run(place, value):
            changed = change(read_checkpoint(str(path)), place, value)
            bad = tmp_path / 'bad.pth'
            torch.save(changed, bad)
            runner = Runner.from_cfg(tiny_config('vqa', epochs=2, resume=True, load_from=str(bad)))
            error = None
            try:
                runner.train()
            except CheckpointError as caught:
                error = str(caught)
            assert not mark.exists()
            return error

        run.code = f"__import__('pathlib').Path({str(mark)!r}).touch()"
        return run

    @pytest.mark.parametrize('key', ['config', 'cfg'])
    def test_the_config(self, key, attack):
        assert attack(('meta', key), f'x = {attack.code}\n') is None

    def test_the_config_with_a_base_and_imports(self, attack, tmp_path):
        (tmp_path / 'evil.py').write_text(f'{attack.code}\n')
        text = f"_base_ = ['{tmp_path / 'evil.py'}']\ncustom_imports = dict(imports=['evil'])\ngpu_ids = [0]\n"
        assert attack(('meta', 'config'), text) is None

    def test_another_number_of_gpus(self, attack):
        assert 'is of a run on 3 GPUs, and this one has 1' in attack(('meta', 'config'), 'gpu_ids = [0, 1, 2]')

    def test_a_part_by_name(self, attack):
        part = dict(type='pathlib.Path', _scope_='this')
        assert attack(('meta', 'dataset_meta'), part) is None
        assert 'param_schedulers.0 has' in attack(('param_schedulers', 0), part)
        assert attack(('message_hub', 'runtime_info', 'cfg'), part) is None

    def test_attributes_of_a_schedule(self, attack):
        for name in ('step', 'optimizer', '__class__', '_get_value'):
            assert f"'{name}', which a" in attack(('param_schedulers', 0, name), 'os.system')

    def test_rules_of_an_optimizer(self, attack):
        assert attack(('optimizer', 'param_groups', 0, 'opt'), 'sgd; exec') is not None

    def test_hooks(self, attack):
        assert 'ema_state_dict of ' in attack(('ema_state_dict',), {'module.x': 'os.system'})


@pytest.mark.parametrize('how', ['load_from', 'test', 'convert'])
def test_nothing_runs_where_only_weights_are_wanted(how, trained, tiny_config, tmp_path):
    path, _ = trained
    mark = tmp_path / 'mark'
    code = f"x = __import__('pathlib').Path({str(mark)!r}).touch()"
    meta = dict(epoch=1, iter=3, config=code, cfg=code)
    torch.save(read_checkpoint(str(path)) | dict(meta=meta, custom_imports=dict(imports=['evil'])), path)
    if how == 'convert':
        convert_file(to_official, str(path), str(tmp_path / 'out.pth'))
        assert torch.load(tmp_path / 'out.pth')['meta'] == dict(epoch=1, iter=3)
    else:
        runner = Runner.from_cfg(tiny_config('vqa', load_from=str(path)))
        runner.test() if how == 'test' else runner.load_or_resume()
    assert not mark.exists()


@HOOKS.register_module(force=True)
class OwnState(Hook):
    """Takes an entry of a checkpoint."""

    def after_load_checkpoint(self, runner, checkpoint):
        raise KeyError('x\ny' * 1000)


def test_resuming_ends_in_a_sentence_where_a_hook_finds_its_state_damaged(trained, tiny_config):
    path, _ = trained
    cfg = tiny_config('vqa', epochs=2, resume=True, load_from=str(path), custom_hooks=[dict(type='OwnState')])
    with pytest.raises(CheckpointError, match=r'epoch_1\.pth cannot be used: a hook finds KeyError: [^\n]{,300}\Z'):
        Runner.from_cfg(cfg).train()


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_config_comes_back_out_of_its_text(path):
    config = Config.fromfile(str(path), lazy_import=False)
    assert parse_config(config.pretty_text) == config.to_dict()


def test_the_config_of_a_checkpoint_is_data(trained):
    path, runner = trained
    config = config_of(read_checkpoint(str(path)), str(path))
    assert config['model'] == runner.cfg.model.to_dict()


@pytest.mark.parametrize(
    'text, message',
    [
        ("x = __import__('os').system('touch mark')", r"line 1 is more than plain data: __import__\('os'\)"),
        ('import os', 'line 1 is more than plain data: import os'),
        ("a = 1\nx = dict(**{'a': 1})", 'line 2 is more than plain data'),
        ('x = [i for i in range(3)]', 'more than plain data'),
        ("x = f'{1}'", 'more than plain data'),
        ('x = {[]: 1}', 'it is no config'),
        ('x = ' + '[' * 500 + ']' * 500, r'line 1 is no Python|no config'),
        ('x = ' + '-' * 20000 + '1', r'no Python|no config|more than plain'),
        ("model = dict(type='os.system')", r"the config\.model has the type 'os\.system'; it is one word"),
        ("model = dict(heads=[dict(type='A', _scope_='evil')])", r'the config\.model\.heads\.0 has a _scope_'),
        (None, 'does not say with which config'),
    ],
)
def test_a_config_that_is_more_than_data_is_refused(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        config_of(dict(meta=dict(cfg=text)))
    assert not os.listdir(tmp_path)


def test_imports_are_left_out():
    assert config_of(dict(meta=dict(cfg="custom_imports = dict(imports=['evil'])\na = 1"))) == dict(a=1)
