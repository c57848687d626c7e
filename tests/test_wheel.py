"""An installed wheel prepares data, trains and tests from another folder; it holds the library and what a user runs."""

import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import soho
from soho.paths import TOOLS
from tests.documents import read_blocks, type_shell

ROOT = TOOLS.parent
SOURCES = ('soho', 'configs', 'tools', 'tests', 'demo', 'requirements', 'resources')
FILES = ('pyproject.toml', 'setup.py', 'MANIFEST.in', 'README.md', 'LICENSE')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """The wheel, built from the source distribution and that from the tree, in a folder that was built in before."""
    tree, out = tmp_path_factory.mktemp('tree'), tmp_path_factory.mktemp('out')
    for name in SOURCES:
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns('__pycache__', 'data'))
    for name in FILES:
        shutil.copy(ROOT / name, tree)
    command = 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])'
    subprocess.run([sys.executable, '-c', command, out], cwd=tree, check=True, capture_output=True)
    (source,) = out.glob('soho-*.tar.gz')
    shutil.unpack_archive(source, out)
    unpacked = Path(str(source).removesuffix('.tar.gz'))
    (unpacked / 'build' / 'lib' / 'soho').mkdir(parents=True)
    (unpacked / 'build' / 'lib' / 'soho' / 'removed.py').touch()
    pip('wheel', unpacked, '--no-deps', '--no-build-isolation', '--no-index', '--wheel-dir', out)
    (file,) = out.glob('*.whl')
    return file


def pip(*arguments):
    command = [sys.executable, '-m', 'pip', '--disable-pip-version-check', *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_wheel_holds_the_library_and_what_a_user_runs(wheel):
    held = {name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info/' not in name}
    tree = [
        path.relative_to(ROOT).as_posix()
        for name in ('soho', 'configs', 'tools', 'resources/models')
        for path in (ROOT / name).rglob('*.*')
    ]
    library = {name for name in tree if name.startswith('soho/') and '__pycache__' not in name}
    left_out = ('tools/env.py', 'tools/analysis/parity.py', 'tools/benchmark/')
    run = {name for name in tree if not name.startswith(('soho/', *left_out))}
    carried = {name for name in run if name.endswith(('.py', '.sh', '.yml')) or name.startswith('resources/')}
    assert held == library | {f'soho/.mim/{name}' for name in carried if '__pycache__' not in name}
    assert 'soho/.mim/tools/analysis/print_config.py' in held
    assert {'soho/py.typed', 'soho/visualization/report.css', 'soho/.mim/tools/dist_train.sh'} <= held


def test_a_wheel_says_what_it_needs(wheel):
    files = zipfile.ZipFile(wheel)
    (name,) = (name for name in files.namelist() if name.endswith('.dist-info/METADATA'))
    said = Parser().parsestr(files.read(name).decode())
    assert (said['Name'], said['Version'], said['License-Expression']) == ('soho', soho.__version__, 'Apache-2.0')
    assert 'torch' in {Requirement(text).name for text in said.get_all('Requires-Dist')}
    entry = files.read(name.replace('METADATA', 'entry_points.txt')).decode()
    assert entry.split('\n')[:2] == ['[console_scripts]', 'soho = soho.__main__:main']


def test_an_installed_wheel_trains_and_answers_from_another_folder(wheel, tmp_path, monkeypatch):
    """As docs/how_to.md says it. To save time the new environment borrows the packages of this one."""
    install, use = [
        block.text for block in read_blocks((ROOT / 'docs' / 'how_to.md').read_text()) if 'test_wheel' in block.note
    ][-2:]
    for name in ('PYTHONPATH', 'SOHO_SYNTHETIC'):
        monkeypatch.delenv(name, raising=False)
    for name in ('PIP_NO_DEPS', 'PIP_NO_INDEX'):
        monkeypatch.setenv(name, '1')
    shutil.copy(wheel, tmp_path)
    shutil.copy(ROOT / 'resources' / 'models' / 'sample.jpg', tmp_path / 'photo.jpg')

    def run(text):
        done = type_shell(text, tmp_path, Path(sys.executable).parent)
        assert done.returncode == 0, done.stdout
        return done.stdout

    run(install)
    (packages,) = (tmp_path / 'env').glob('lib/python*/site-packages')
    (packages / 'borrowed.pth').write_text(f'{sysconfig.get_path("purelib")}\n')
    assert run('env/bin/python -c "import soho; print(soho.__file__)"') == f'{packages}/soho/__init__.py\n'
    assert f'{packages}/soho/.mim/tools' in run('env/bin/soho --help')
    differences = run('env/bin/soho analyze print_config demo/vqa --diff demo/vqa_blind')
    assert 'backbone' in differences
    said = run(use)
    assert re.search(r'accuracy: [\d.]+', said)
    assert re.search(r'^\w+ +[01]\.\d{3}$', said.splitlines()[-1])  # an answer and its score
