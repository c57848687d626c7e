"""Whatever is wrong in a config file is one sentence with the file and the line that a person wrote."""

import os
import sys

import pytest

from soho.engine import ConfigError, load_config, run_parser


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Files of a folder, which is the current one; returns the path of the first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [*sys.path])

    def files(**texts):
        for name, text in texts.items():
            path = tmp_path / f'{name}.py'
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return f'{next(iter(texts))}.py'

    return files


CASES = {
    'syntax': (dict(a='x = 1\ny = dict(a=1\nz = 2\n'), r"a\.py:2: '\(' was never closed"),
    'syntax of a base': (dict(a="_base_ = 'b.py'", b='x = 1\nx = = 2'), r'b\.py:2: invalid syntax'),
    'syntax behind a variable': (dict(a='x = {{$NONE:[1}}\n'), r"a\.py:1: .*'\['"),
    'encoding': (dict(a=b'x = "\xe9"'), r'a\.py is not UTF-8 text \(.* at byte 5\)'),
    'zero byte': (dict(a=b'x = 1\0'), r'a\.py.* null bytes'),
    'no base': (
        dict(a="x = 1\n_base_ = ['b.py',\n 'none.py']", b=''),
        r'a\.py:3: _base_ names none\.py, and there is no',
    ),
    'no base of a base': (dict(a="_base_ = 'b.py'", b="_base_ = 'c.py'"), r'b\.py:1: _base_ names c\.py'),
    'computed base': (dict(a="_base_ = ['no' + 'ne.py']"), r'a\.py:1: _base_ .*none\.py'),
    'no path': (dict(a='_base_ = [5]'), r'a\.py:1: _base_ is a path or a list of paths'),
    'cycle': (
        dict(a="_base_ = 'b.py'", b="\n_base_ = './c.py'", c="_base_ = 'b.py'"),
        r'c\.py:1: _base_ leads back to b',
    ),
    'own base': (dict(a="_base_ = 'a.py'"), r'a\.py:1: _base_ leads back to a\.py'),
    'bases with one key': (dict(a="\n_base_ = ['b.py', 'c.py']", b='x = 1', c='x = 2'), r"a\.py:2: .*'x'"),
    'import': (dict(a='x = 1\nimport nothing_of_this_name'), r"a\.py:2: ModuleNotFoundError: No module named 'nothing"),
    'import of a base': (dict(a="_base_ = 'b.py'", b='from math import tau, tao'), r"b\.py:1: ImportError: .*'tao'"),
    'division': (dict(a='def f():\n    return 1 / 0\nx = f()'), r'a\.py:2: ZeroDivisionError: division by zero'),
    'undefined': (dict(a='x = lrate * 2'), r"a\.py:1: NameError: name 'lrate' is not defined"),
    'no value of a base': (
        dict(a="_base_ = 'b.py'\nx = _base_.warmupp", b='warmup = 3'),
        r"a\.py:2: the config has no 'warmupp' there; did you mean 'warmup'\?",
    ),
    'no value of a base, in braces': (
        dict(a="_base_ = 'b.py'\nx = [\n    {{_base_.model.deph}}]", b='model = dict(depth=3)'),
        r"a\.py:3: the bases hold no model\.deph; did you mean 'depth'\?",
    ),
    'below a number of a base': (
        dict(a="_base_ = 'b.py'\nx = {{_base_.model.depth.x}}", b='model = dict(depth=3)'),
        r'a\.py:2: the bases hold no model\.depth\.x',
    ),
    'a dict over a number': (
        dict(a="_base_ = 'b.py'\n\nmodel = dict(\n    depth=dict(a=1))", b='model = dict(depth=3)'),
        r'a\.py:4: model\.depth is a dict here and none in the base; _delete_=True',
    ),
    'reserved': (dict(a='filename = 1'), r'a\.py: KeyError: filename is reserved'),
    'imports of no module': (
        dict(a="x = 1\ncustom_imports = dict(imports=['no_such_part'])"),
        r'custom_imports \(line 2 of a\.py\) names no_such_part, which is neither beside the config nor on PYTHONPATH',
    ),
    'imports of a broken module': (
        dict(a="custom_imports = dict(imports=['broken_part'])", broken_part='x = 1\nimport missing_package_of_part'),
        r"broken_part, whose import fails: .*No module named 'missing_package_of_part' \(line 2 of broken_part\.py\)",
    ),
    'imports of no Python': (
        dict(a="custom_imports = dict(imports='no_python_part')", no_python_part='x = = 1'),
        r'no_python_part, whose import fails: invalid syntax \(line 1 of no_python_part\.py\)',
    ),
    'imports of no names': (dict(a='custom_imports = [1]'), r'custom_imports \(line 1 of a\.py\) is dict\(imports='),
    'part of a base': (
        dict(a="_base_ = 'b.py'\nmodel = dict(neck=None)", b="model = dict(\n    backbone=dict(type='ResNot'))"),
        r"a\.py: model\.backbone is of the type ResNot, .*; did you mean 'ResNet'\? \(line 2 of b\.py\)",
    ),
    'type of a key': (dict(a='x = 1\nresume = 5'), r'a\.py: resume is 5; it is bool \(line 2 of a\.py\)'),
    'type of a dict': (dict(a='model = 5'), r'a\.py: model is 5; it is .*Dict'),
    'type of a list': (dict(a='custom_hooks = dict(a=1)'), r'a\.py: custom_hooks is .*; it is .*List'),
    'type of a loop': (
        dict(a="train_cfg = dict(\n    type='EpochBasedTrainLoop',\n    max_epochs='3')"),
        r"a\.py: train_cfg\.max_epochs is '3'; EpochBasedTrainLoop takes int \(line 3 of a\.py\)",
    ),
    'type of a part': (
        dict(a="model = dict(backbone={'type': 'ResNet', 'depth': 'deep'})"),
        r"model\.backbone\.depth is 'deep'; ResNet takes int \(line 1 of a\.py\)",
    ),
    'type in a list': (
        dict(a="x = dict(dataset=dict(pipeline=[dict(type='LoadImage', reduce_to=[3])]))\ntrain_dataloader = x"),
        r'train_dataloader\.dataset\.pipeline\.0\.reduce_to is \[3\]; LoadImage takes tuple\[int, int\] \| None',
    ),
    'type of a loader': (
        dict(a="val_dataloader = dict(\n    drop_last='no')"),
        r"a\.py: val_dataloader\.drop_last is 'no'; it is bool \(line 2 of a\.py\)",
    ),
    'no workers': (
        dict(a='train_dataloader = dict(num_workers=-1)'),
        r'train_dataloader\.num_workers is -1; .* from 0 on',
    ),
    'no batch': (dict(a='train_dataloader = dict(batch_size=0)'), r'train_dataloader\.batch_size is 0; .* from 1 on'),
}


@pytest.mark.parametrize('case', CASES)
def test_the_sentence_names_file_and_line(case, write):
    files, sentence = CASES[case]
    with pytest.raises(ConfigError, match=sentence) as error:
        load_config(write(**files))
    assert '\n' not in str(error.value) and '/tmp' not in str(error.value).replace(str(write(**files)), '')


@pytest.mark.parametrize(
    'options, sentence',
    [
        ({'model.depth.x': 1}, r'--cfg-options model\.depth\.x does not fit what a\.py holds there'),
        ({'pipeline.7.x': 1}, r'--cfg-options pipeline\.7\.x does not fit what a\.py holds there: Index 7'),
        ({'train_cfg.max_epochs': 'many'}, r"max_epochs is 'many'; .* \(--cfg-options train_cfg\.max_epochs\)"),
    ],
)
def test_options_that_do_not_fit(options, sentence, write):
    text = "model = dict(depth=3)\npipeline = [dict()]\ntrain_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)"
    with pytest.raises(ConfigError, match=sentence):
        load_config(write(a=text), options)


@pytest.mark.parametrize('option', ['lr', '=3', 'lr=[1,(2]', 'lr={a: 1, b: 2}', "lr={'a':1", 'lr=max(1,2)'])
def test_options_that_cannot_be_read_are_errors_of_the_command_line(option, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_parser('').parse_args(['a.py', '--cfg-options', option])
    said = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == 2 and 'error: --cfg-options' in said and option in said


@pytest.mark.parametrize('name', ['prepare/tokens', 'train', 'transfer/knn'])
def test_scripts_end_with_the_sentence(name, write, load_tool):
    config = ['--config'] if name == 'transfer/knn' else []
    checkpoint = ['random'] if name == 'transfer/knn' else []
    with pytest.raises(SystemExit, match=r"\Aerror: a\.py:1: '\(' was never closed\Z"):
        load_tool(name).main([*checkpoint, *config, write(a='x = dict(')])


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('x = 1', 'a.py has no model'),
        ('model = dict()', 'a.py has no train_dataloader, and so nothing to train on'),
        (
            'model = dict()\ntrain_dataloader = dict()\ntrain_cfg = dict()',
            'has train_dataloader but no optim_wrapper: ',
        ),
        (
            'model, train_dataloader, train_cfg, optim_wrapper = [dict()] * 4\nval_dataloader = dict()',
            'a.py has val_dataloader but no val_cfg: val_dataloader, val_cfg, val_evaluator go together',
        ),
    ],
)
def test_a_recipe_that_lacks_a_part(text, sentence, write, load_tool):
    with pytest.raises(SystemExit) as stopped:
        load_tool('train').main([write(a=text), '--amp'])
    assert sentence in str(stopped.value) and '\n' not in str(stopped.value)


def test_what_a_person_may_write_is_accepted(write):
    path = write(
        a='_base_ = ["./b.py"]\n'
        'train_cfg = dict(type="IterBasedTrainLoop", max_iters=1e5)\n'
        'param_scheduler = [{{_base_.warmup}}]\n'
        'optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1, betas=[0.9, 0.98]))\n'
        'workers = {{$SOHO_TEST_WORKERS:3}}\n',
        b='warmup = dict(type="LinearLR", end=100, begin=0)',
    )
    cfg = load_config(path)
    assert cfg.workers == 3 and cfg.param_scheduler[0].end == 100


def test_aliases_of_aliases_are_not_unfolded(tmp_path):
    path = tmp_path / 'a.yaml'
    layers = [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 9)}]' for i in range(1, 10)]
    path.write_text('\n'.join(['a0: &a0 [1]', *layers]))
    with pytest.raises(ConfigError, match=r'a\.yaml stands for more than 1000000 values by its aliases'):
        load_config(str(path))
    path.write_text('a: &a [*a]')
    with pytest.raises(ConfigError, match='stands for more than'):
        load_config(str(path))
    path.write_text('a: &a [1, 2]\nb: [*a, *a]')
    assert load_config(str(path)).b == [[1, 2], [1, 2]]


def test_custom_imports_are_found_beside_the_config(write):
    write(
        a="custom_imports = dict(imports=['part_beside_the_config'])\nmodel = dict(type='BesideTheConfig', width=3)",
        part_beside_the_config='from soho.registry import MODELS\n\n\n'
        '@MODELS.register_module(force=True)\nclass BesideTheConfig:\n    def __init__(self, width: int): ...\n',
    )
    assert load_config('a.py').model.width == 3
    with pytest.raises(ConfigError, match=r'BesideTheConfig, which takes no|BesideTheConfig takes int'):
        load_config('a.py', {'model.width': 'wide'})
    assert sys.path[-1] == os.getcwd()  # behind what is installed


def test_a_module_that_cannot_be_imported_may_be_left_out(write):
    path = write(a="custom_imports = dict(imports=['no_such_part'], allow_failed_imports=True)")
    with pytest.warns(UserWarning, match='no_such_part failed to import'):
        load_config(path)
