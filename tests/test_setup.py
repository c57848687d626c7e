"""What a fresh machine and a shell meet first: requirements, version, tools/env.py, launch scripts."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import soho

ROOT = Path(__file__).resolve().parent.parent
CODE = ('soho', 'tools', 'demo', 'tests')
LISTS = ('eval', 'timm', 'app', 'export', 'tests', 'docs', 'dev')  # beside what soho always needs
# What each extra is made of.
EXTRAS = dict(
    eval=['eval'],
    timm=['timm'],
    app=['app'],
    pretrained=['timm'],
    export=['export'],
    all=['app', 'eval', 'timm', 'export'],
    tests=['app', 'export', 'tests', 'timm'],
    docs=['docs'],
    dev=['app', 'dev', 'export', 'tests', 'timm'],
)
RUN = {
    'build',
    'furo',
    'myst-parser',
    'onnx',
    'onnxscript',
    'pre-commit',
    'pyrefly',
    'pytest-xdist',
    'ruff',
    'sphinx',
}  # by a command, by pytest or by torch, and imported nowhere
MODULES = {'scikit-learn': 'sklearn'}  # where the distribution's name is another
SCRIPTS = [*sorted(ROOT.glob('tools/*.sh')), ROOT / '.ci' / 'run']


def requirements_of(name: str) -> dict[str, Requirement]:
    """The requirements of ``requirements/<name>.txt`` by the name of what is required."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    parsed = [Requirement(line.split(' #')[0]) for line in lines if line and not line.startswith('#')]
    return {requirement.name: requirement for requirement in parsed}


@pytest.fixture(scope='module')
def env():
    """tools/env.py as a module."""
    spec = importlib.util.spec_from_file_location('env', ROOT / 'tools' / 'env.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shell(tmp_path):
    """Runs a script of tools/ where Python and Slurm are stubs that print what they are called with."""
    (tmp_path / 'python').write_text('#!/bin/sh\n[ "$1" = -c ] || printf "%s\\n" "$@"\n')
    (tmp_path / 'scontrol').write_text('#!/bin/sh\n[ "$3" = "node[7-8]" ] && echo node7; echo node8\n')
    (tmp_path / 'srun').write_text(
        '#!/bin/bash\necho "$@" | head -n 1\nwhile [[ $1 != bash ]]; do shift; done\nexec "$@"\n'
    )
    for stub in ('python', 'scontrol', 'srun'):
        (tmp_path / stub).chmod(0o755)

    def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        # nothing but this, so that no NNODES or SLURM_* of the machine joins in
        clean = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'PYTHON': f'{tmp_path}/python'}
        return subprocess.run(
            ['bash', ROOT / 'tools' / script, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**clean, **variables},
        )

    return run


def imported_packages() -> set[str]:
    """The packages that the project's code imports anywhere."""
    found = set()
    for file in [ROOT / 'setup.py', *(file for name in CODE for file in (ROOT / name).rglob('*.py'))]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.partition('.')[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition('.')[0])
    return found


def test_a_requirement_is_said_once_or_alike():
    groups = {name: requirements_of(name) for name in ('runtime', *LISTS)}
    for name in set().union(*groups.values()):
        assert len({str(group[name]) for group in groups.values() if name in group}) == 1, name
    assert not groups.pop('runtime').keys() & set().union(*groups.values())


def test_what_is_optional_is_imported_or_run():
    imported, listed = imported_packages(), set().union(*(requirements_of(name) for name in LISTS))
    assert RUN <= listed
    assert {MODULES.get(name, name) for name in listed - RUN} <= imported


def test_torch_2_13_is_never_taken():
    """Its CPU-only wheels do not work with torchvision."""
    allowed = requirements_of('runtime')['torch'].specifier
    assert '2.13.0+cpu' not in allowed
    assert '2.11.0' in allowed and '2.15.0' in allowed


def test_opencv_has_one_owner():
    """opencv-python and its headless twin write into one folder: no list names both."""
    for name in ('runtime', *LISTS):
        assert 'opencv-python-headless' not in requirements_of(name)
    assert not requirements_of('overrides')['opencv-python'].marker.evaluate()
    headless = requirements_of('headless')['opencv-python-headless']
    assert headless.specifier == requirements_of('runtime')['opencv-python'].specifier


def test_package_says_what_the_files_say(tmp_path):
    """Version and requirements come from their one place; nothing is installed."""
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    (tmp_path / 'soho').mkdir()
    for file in ('pyproject.toml', 'setup.py', 'README.md', 'LICENSE', 'soho/version.py', 'soho/__init__.py'):
        shutil.copy(ROOT / file, tmp_path / file)
    subprocess.run([sys.executable, 'setup.py', 'egg_info'], cwd=tmp_path, check=True, capture_output=True)
    said = Parser().parsestr((tmp_path / 'soho.egg-info' / 'PKG-INFO').read_text())
    assert said['Version'] == soho.__version__
    assert said['Requires-Python'] == '>=3.10'
    assert set(said.get_all('Provides-Extra')) == set(EXTRAS)
    required = [Requirement(text) for text in said.get_all('Requires-Dist')]
    for extra, files in {'': ['runtime'], **EXTRAS}.items():
        assert {
            each.name: each.specifier
            for each in required
            if (each.marker is None if not extra else each.marker and each.marker.evaluate({'extra': extra}))
        } == {name: each.specifier for file in files for name, each in requirements_of(file).items()}, extra


def test_pip_configuration_reaches_uv(env):
    said = (
        "global.index-url='https://old.example/simple'\n"
        "global.extra-index-url='https://a.example/simple\\nfile:///nowhere/simple'\n"
        "global.cert='/etc/own.crt'\nglobal.find-links='/wheels'\n"
        "install.index-url='https://new.example/simple?x=1'\n:env:.default-timeout='180'\n"
    )
    assert env.uv_environment(said) == {
        'UV_DEFAULT_INDEX': 'https://new.example/simple?x=1',
        'UV_INDEX': 'https://a.example/simple',
        'UV_INDEX_STRATEGY': 'unsafe-best-match',
        'UV_HTTP_TIMEOUT': '180',
        'SSL_CERT_FILE': '/etc/own.crt',
    }
    assert env.uv_environment('') == {}


def test_an_environment_of_somebody_else_is_left_alone(env, tmp_path):
    (tmp_path / 'mine').touch()
    with pytest.raises(env.SetupError, match='was not made by `make env` and is left alone'):
        env.make_environment(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ['mine']


def test_an_environment_that_is_up_to_date_is_left_alone(env, tmp_path, monkeypatch):
    python, stamp = tmp_path / 'bin' / 'python', tmp_path / 'soho-env'
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    stamp.write_text('\n'.join(env.fingerprint(python)))
    installed = []
    monkeypatch.setattr(env, 'install', installed.append)
    env.make_environment(tmp_path)
    assert installed == []
    stamp.write_text(env.fingerprint(python)[0] + '\nother requirements')
    env.make_environment(tmp_path)
    assert installed == [python]
    env.make_environment(tmp_path)
    assert len(installed) == 1


def test_help_makes_no_environment(tmp_path):
    (tmp_path / 'tools').mkdir()
    tool = Path(shutil.copy(ROOT / 'tools' / 'env.py', tmp_path / 'tools'))
    for option, code in (('--help', 0), ('--fodler', 2)):
        said = subprocess.run([sys.executable, '-I', tool, option], capture_output=True, text=True)
        assert said.returncode == code and 'usage: env.py' in said.stdout + said.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['tools']


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_executable_and_parse(script):
    assert os.access(script, os.X_OK)
    subprocess.run(['bash', '-n', script], check=True)
    assert 'set -euo pipefail' in script.read_text()


def test_dist_train_runs_one_torchrun(shell):
    tools = str(ROOT / 'tools')
    assert shell('dist_train.sh', 'a config.py', '2', '--amp').stdout.splitlines() == [
        f'{tools}/launch.py',
        '--standalone',
        '--local-addr=127.0.0.1',
        '--nproc-per-node=2',
        f'{tools}/train.py',
        'a config.py',
        '--launcher',
        'pytorch',
        '--amp',
    ]


def test_a_python_without_torch_is_said_in_a_sentence(shell, tmp_path):
    (tmp_path / 'bare').write_text('#!/bin/sh\necho a traceback >&2\nexit 1\n')
    (tmp_path / 'bare').chmod(0o755)
    for python in (f'{tmp_path}/bare', f'{tmp_path}/nowhere'):
        said = shell('dist_train.sh', 'c.py', '2', PYTHON=python)
        assert said.returncode == 1 and not said.stdout
        assert said.stderr == (
            f'launch.sh: {python} has no torch: `make env` makes one that has, or name one with PYTHON=...\n'
        )


def test_several_machines_meet_where_the_variables_say(shell):
    said = shell('dist_test.sh', 'c.py', 'm.pth', '8', NNODES='2', NODE_RANK='1', MASTER_ADDR='node7', PORT='1234')
    assert said.stdout.splitlines()[1:] == [
        '--nnodes=2',
        '--node-rank=1',
        '--master-addr=node7',
        '--master-port=1234',
        '--nproc-per-node=8',
        f'{ROOT}/tools/test.py',
        'c.py',
        'm.pth',
        '--launcher',
        'pytorch',
    ]


@pytest.mark.parametrize(
    'config, work_dir',
    [
        ('configs/VQA/soho_res18_vqa.py', 'work_dirs/VQA/soho_res18_vqa'),
        ('/somewhere/configs/VQA/deep/mine.py', 'work_dirs/VQA/deep/mine'),
        ('elsewhere/mine.py', 'work_dirs/mine'),
        ('VQA/soho_res18_vqa', 'work_dirs/VQA/soho_res18_vqa'),
    ],
)
def test_an_epoch_means_the_checkpoint_of_the_config(shell, tmp_path, config, work_dir):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'mine.py').touch()
    checkpoint = tmp_path / work_dir / 'epoch_18.pth'
    missing = shell('dist_test_vqa.sh', config, '18', '1')
    assert missing.returncode == 1 and f'there is no checkpoint {work_dir}/epoch_18.pth' in missing.stderr
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert shell('dist_test_vqa.sh', config, '18', '1').stdout.splitlines()[-7:] == [
        f'{ROOT}/tools/test.py',
        config,
        f'{work_dir}/epoch_18.pth',
        '--launcher',
        'pytorch',
        '--out',
        f'{work_dir}/test_results/test_submit_18.json',
    ]


@pytest.mark.parametrize('below', [True, False])
def test_work_dirs_are_where_the_recipes_write(shell, tmp_path, below):
    folder = tmp_path / ('in out' if below else '.') / 'work_dirs/VQA/soho_res18_vqa'
    folder.mkdir(parents=True)
    (folder / 'epoch_18.pth').touch()
    said = shell('dist_test_vqa.sh', 'configs/VQA/soho_res18_vqa.py', '18', '1', IN_OUT_PATH='in out')
    start = 'in out/' if below else ''
    assert said.returncode == 0, said.stderr
    assert said.stdout.splitlines()[-1] == f'{start}work_dirs/VQA/soho_res18_vqa/test_results/test_submit_18.json'


def test_a_checkpoint_may_stand_for_the_epoch(shell, tmp_path):
    (tmp_path / 'best.pth').touch()
    said = shell('dist_test_vqa.sh', 'configs/VQA/x.py', 'best.pth', '1', WORK_DIR='elsewhere').stdout
    assert said.splitlines()[-5:] == [
        'best.pth',
        '--launcher',
        'pytorch',
        '--out',
        'elsewhere/test_results/test_submit_best.json',
    ]


def test_a_step_smaller_than_its_job_joins_its_own_machines(shell):
    said = shell(
        'slurm_train.sh',
        *('gpu', 'job', 'c.py', 'work'),
        GPUS='8',
        SLURM_NNODES='2',
        SLURM_JOB_NODELIST='node[7-8]',
        SLURM_STEP_NUM_NODES='1',
        SLURM_STEP_NODELIST='node8',
        SLURM_NODEID='0',
        SLURM_JOB_ID='123456',
        SLURM_STEP_ID='3',
    )
    assert said.stdout.splitlines()[2:6] == [
        '--nnodes=1',
        '--node-rank=0',
        '--master-addr=node8',
        '--master-port=23459',
    ]


def test_slurm_starts_one_torchrun_a_machine(shell):
    said = shell(
        'slurm_train.sh',
        'gpu',
        'a job',
        'c.py',
        'my work',
        '--resume',
        GPUS='16',
        GPUS_PER_NODE='8',
        SLURM_NNODES='2',
        SLURM_NODEID='1',
        SLURM_JOB_ID='123456',
        SLURM_JOB_NODELIST='node[7-8]',
        SRUN_ARGS='--qos=low --time=1',
    )
    srun, *torchrun = said.stdout.splitlines()
    assert srun.startswith(
        '--partition=gpu --job-name=a job --nodes=2 --ntasks-per-node=1 --gres=gpu:8 '
        '--cpus-per-task=40 --kill-on-bad-exit=1 --qos=low --time=1 bash'
    )
    assert torchrun[1:] == [
        '--nnodes=2',
        '--node-rank=1',
        '--master-addr=node7',
        '--master-port=23456',
        '--nproc-per-node=8',
        f'{ROOT}/tools/train.py',
        'c.py',
        '--work-dir',
        'my work',
        '--launcher',
        'pytorch',
        '--resume',
    ]


@pytest.mark.parametrize(
    'script, arguments, sentence',
    [
        ('dist_train.sh', ['c.py'], 'usage:'),
        ('dist_train.sh', ['c.py', 'two'], "number of processes on this machine, not 'two'"),
        ('dist_test.sh', ['c.py', 'm.pth'], 'usage:'),
        ('dist_test_vqa.sh', ['c.py', '1'], 'usage:'),
        ('slurm_train.sh', ['gpu', 'job', 'c.py'], 'usage:'),
        ('slurm_test.sh', ['gpu', 'job', 'c.py'], 'usage:'),
    ],
)
def test_wrong_calls_are_refused_with_a_sentence(shell, script, arguments, sentence):
    said = shell(script, *arguments)
    assert said.returncode == 2 and sentence in said.stderr


def test_a_machine_without_slurm_is_said_in_a_sentence(shell, tmp_path):
    (tmp_path / 'srun').unlink()
    for program in ('bash', 'dirname'):  # and no more of this machine, which may have an srun
        (tmp_path / program).symlink_to(shutil.which(program))
    said = shell('slurm_test.sh', 'gpu', 'job', 'c.py', 'm.pth', PATH=str(tmp_path))
    assert said.returncode == 1 and not said.stdout
    assert len(said.stderr.splitlines()) == 1 and said.stderr.startswith('slurm.sh: there is no srun here: ')


def test_slurm_refuses_gpus_that_do_not_fill_machines(shell):
    said = shell('slurm_test.sh', 'gpu', 'job', 'c.py', 'm.pth', GPUS='12', GPUS_PER_NODE='8')
    assert said.returncode == 2 and 'GPUS=12 has to be a multiple of GPUS_PER_NODE=8' in said.stderr
