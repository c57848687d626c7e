"""What is wrong with a config is said before anything is built."""

import re
from pathlib import Path

import mmengine.runner.runner
import pytest

from soho.engine import ConfigError, default_work_dir, load_config, load_run, resumable_runner, run_parser, runner
from soho.engine.config import runner_types


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / 'recipe.py'
        path.write_text(text)
        return str(path)

    return write


def test_options_are_laid_over_the_file(config):
    path = config("model = dict(type='SOHO', heads=dict(a=1))\nsize = 5\nworkers = [1, 2]")
    cfg = load_config(path, {'model.heads.a': 2, 'sync_bn': True, 'size': 6, 'optim_wrapper.type': 'AmpOptimWrapper'})
    assert cfg.model.heads.a == 2 and cfg.sync_bn and cfg.size == 6
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.default_scope == 'soho'


def test_calls_in_a_config_are_allowed(config):
    assert load_config(config('import math\nsize = math.ceil(2.5)')).size == 3


@pytest.mark.parametrize(
    'text, options, message',
    [
        ('modle = dict()', {}, r"recipe\.py: unknown key 'modle'; did you mean 'model'\?"),
        ('train_dataloder = dict()', {}, "unknown key 'train_dataloder'; did you mean 'train_dataloader'"),
        ('optim_wraper = dict()', {}, "did you mean 'optim_wrapper'"),
        (
            'model = dict()',
            {'modle.type': 'SOHO'},
            r"--cfg-options modle\.type: .*has no key 'modle'; did you mean 'model'",
        ),
        ('model = dict()', {'xyzzy': 1}, r"--cfg-options xyzzy: .*recipe\.py has no key 'xyzzy'\Z"),
    ],
)
def test_typing_errors_are_found(text, options, message, config):
    with pytest.raises(ConfigError, match=message):
        load_config(config(text), options)


def test_every_key_that_a_runner_reads_is_known():
    for module in (runner, resumable_runner, mmengine.runner.runner):
        read = set(re.findall(r"\bcfg\.get\(\s*'(\w+)'", Path(module.__file__).read_text()))
        assert read and read <= runner_types().keys()


def test_parts_to_load_can_be_named_on_the_command_line(config):
    cfg = load_run(run_parser('').parse_args([config('model = dict()'), '--cfg-options', "load_parts=['backbone']"]))
    assert cfg.load_parts == ['backbone']


def test_options_take_dicts_as_a_config_does(config):
    text = "model = dict(neck=dict(type='PlainNeck'))\nval_evaluator = []\nhelper = dict(one=0)"
    options = ["val_evaluator=[{'type': 'VQAAccuracy', 'prefix': 'a, b'}]", "helper={'one': 1}", 'work_dir=a{b}']
    cfg = load_run(run_parser('').parse_args([config(text), '--cfg-options', *options]))
    assert cfg.val_evaluator == [dict(type='VQAAccuracy', prefix='a, b')] and cfg.helper == dict(one=1)
    assert cfg.work_dir == 'a{b}'


@pytest.mark.parametrize(
    'options, message',
    [
        (
            {'model.backbone.dept': 18},
            r"model\.backbone is of the type ResNet, which takes no 'dept'; did you mean 'dep",
        ),
        (
            {'model.backbone.type': 'ResNot'},
            r'model\.backbone is of the type ResNot, which nobody has registered; did you',
        ),
        ({'optim_wrapper.optimizer.lrr': 1}, r"optim_wrapper\.optimizer is of the type AdamWSGD, which takes no 'lrr'"),
        (
            {'test_dataloader.dataset.pipeline.0.reduce': 1},
            r'dataset\.pipeline\.0 is of the type LoadImage, which takes',
        ),
        (
            {'train_cfg.max_epoch': 3},
            r"train_cfg is of the type EpochBasedTrainLoop, which .* did you mean 'max_epochs'",
        ),
        ({'train_dataloader.batchsize': 3}, r"train_dataloader has no key 'batchsize'; did you mean 'batch_size'"),
    ],
)
def test_parts_and_their_arguments_are_checked(options, message):
    with pytest.raises(ConfigError, match=message):
        load_config('configs/VQA/soho_res18_vqa.py', options)


def test_arguments_of_parents_and_of_mmengine_are_known():
    cfg = load_config(
        'configs/VQA/soho_res18_vqa.py',
        {
            'optim_wrapper.optimizer.eps': 1e-8,
            'default_hooks.checkpoint.priority': 'LOW',
            'train_dataloader.num_batch_per_epoch': 5,
            'test_dataloader.dataset.max_broken_images': 5,
        },
    )
    assert cfg.test_dataloader.dataset.max_broken_images == 5


def test_a_missing_file_is_said():
    with pytest.raises(ConfigError, match=r'there is no config configs/none\.py'):
        load_config('configs/none.py')


@pytest.mark.parametrize(
    'path, folder',
    [
        ('configs/VQA/soho.py', 'work_dirs/VQA/soho'),
        ('/a/configs/b/configs/c/d.py', 'work_dirs/c/d'),
        ('elsewhere/mine.py', 'work_dirs/mine'),
    ],
)
def test_the_default_work_dir(path, folder):
    assert default_work_dir(path) == folder
