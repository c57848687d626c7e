"""The command ``soho`` runs the scripts of tools/, says at once what it can do, and refuses in one sentence."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import soho
from soho import __main__ as command
from soho.paths import TOOLS

PACKAGE = Path(soho.__file__).resolve().parent


def test_every_command_has_its_line(capsys):
    command.main(['--help'])
    said = capsys.readouterr().out
    for name in ('train', 'test', 'report', 'prepare/vqa', 'convert/to_official', 'transfer/knn', 'analyze/get_flops'):
        file = TOOLS / f'{name.replace("analyze", "analysis")}.py'
        summary = ast.get_docstring(ast.parse(file.read_text())).splitlines()[0]
        assert [line.split(summary)[0].split() for line in said.splitlines() if summary in line] == [name.split('/')]
    assert 'benchmark' not in said and 'parity' not in said
    command.main([])
    assert capsys.readouterr().out == said


def test_help_imports_no_torch():
    code = "import sys, soho.__main__ as m; m.main(['--help']); print(sorted({'torch', 'mmengine'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert said.stdout.splitlines()[-1] == '[]'


def test_what_can_be_refused_at_once_is_refused_before_torch(tmp_path):
    (tmp_path / 'broken.py').write_text('model = (')
    (tmp_path / 'a.png').touch()
    commands = [
        ['train', 'nothing'],
        ['train', f'{tmp_path}/broken.py'],
        ['train', 'VQA/soho_easyvqa', '--resume', 'nothing.pth'],
        ['test', 'nothing', 'soho_easyvqa'],
        ['test', 'VQA/soho_easyvqa', 'nothing.pth'],
        ['ask', 'nothing.png', 'Why?'],
        ['ask', 'nothing.csv'],
        ['ask', f'{tmp_path}/a.png', 'Why?', '--model', 'nothing.pth'],
        ['caption', f'{tmp_path}/a.png', '--model', 'nothing.pth'],
        ['features', 'nothing.png', '--out', 'x.npy'],
    ]
    code = f"""if True:
        import sys
        from soho.__main__ import main
        for argv in {commands!r}:
            try:
                main(argv)
            except SystemExit as stopped:
                print(stopped)
        print('torch' in sys.modules)
    """
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    *sentences, imported = said.stdout.splitlines()
    assert [sentence.partition(' nothing')[0] for sentence in sentences] == [
        'error: there is no config',
        f"error: {tmp_path}/broken.py:1: '(' was never closed",
        'error: there is no checkpoint',
        'error: there is no config',
        'error: there is no checkpoint',
        'error: there is no image',
        'error: there is no table',
        'error: there is no checkpoint',
        'error: there is no checkpoint',
        'error: there is no image',
    ]
    assert imported == 'False'


@pytest.fixture
def _main(monkeypatch):
    """Running a script takes the place of the main module."""
    monkeypatch.setattr(sys, 'argv', sys.argv)
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])


@pytest.mark.usefixtures('_main')
def test_a_script_sees_its_own_command_line(tmp_path, capsys):
    (tmp_path / 'all.json').write_text('[]')
    command.main(['prepare', 'captions', f'{tmp_path}/all.json', '--out', f'{tmp_path}/captions.json'])
    assert capsys.readouterr().out == f'{tmp_path}/captions.json: 0 images, 0 captions\n'


@pytest.mark.usefixtures('_main')
def test_a_script_is_called_by_its_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(['prepare', 'split', '--help'])
    assert stopped.value.code == 0 and capsys.readouterr().out.startswith('usage: soho prepare split ')


def test_a_command_of_several_scripts_lists_them(capsys):
    command.main(['convert'])
    assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()] == [
        ['soho', 'convert', file.stem] for file in sorted((TOOLS / 'convert').glob('*.py'))
    ]


@pytest.mark.parametrize('pattern, names', [('EASY', ['VQA/soho_easyvqa']), ('demo/v*d', ['demo/vqa_blind'])])
def test_configs_are_listed_by_a_pattern(pattern, names, capsys):
    command.main(['configs', pattern])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == names


def test_the_version(capsys):
    command.main(['--version'])
    assert capsys.readouterr().out == f'soho {soho.__version__}\n'


@pytest.mark.parametrize(
    'argv, sentence',
    [
        (['trian', 'x.py'], '`soho trian`: choose from train, test, report, prepare, convert, transfer, analyze, '),
        (
            ['convert', 'onnx', '--help'],
            '`soho convert onnx`: choose from average_checkpoints, export, from_official, ',
        ),
        (['--verison'], '`soho --verison`: choose from train, '),
    ],
)
def test_an_unknown_command_is_refused_in_one_sentence(argv, sentence):
    with pytest.raises(SystemExit, match=f'error: there is no command {sentence}'):
        command.main(argv)


def test_a_pattern_that_no_config_has_is_refused():
    with pytest.raises(SystemExit, match="error: no config that ships with soho is called like 'nothing'"):
        command.main(['configs', 'nothing'])
