"""Several processes say once what is wrong, and torchrun adds nothing to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from soho.errors import UserError, exit_on_user_error

ROOT = Path(__file__).resolve().parents[1]
LOG = (
    'E1128 14:00:00.123000 77 torch/distributed/elastic/multiprocessing/api.py:984] failed (exitcode: 1) local_rank: 0'
)
TRACEBACK = 'Traceback (most recent call last):\n  File "<frozen runpy>", line 198, in _run_module_as_main\n'
TABLE = """torch.distributed.elastic.multiprocessing.errors.ChildFailedError:\x20
============================================================
tools/train.py FAILED
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-28_14:00:00
  host      : here
  rank      : 1 (local_rank: 1)
  exitcode  : {code} (pid: 78)
  error_file: <N/A>
============================================================
"""


@pytest.fixture
def passed_on(load_tool):
    filtered = load_tool('launch_errors').without_launcher
    return lambda text: ''.join(filtered(text.splitlines(keepends=True)))


def test_what_processes_say_is_passed_on(passed_on):
    own = f'a warning\n{TRACEBACK}ValueError: of a process\nerror: no file\n'
    assert passed_on(f'{own}{LOG}\n{TRACEBACK}{TABLE.format(code=1)}') == own
    assert passed_on(TRACEBACK) == TRACEBACK  # cut


def test_a_process_that_was_killed_cannot_say_so_itself(passed_on):
    said = passed_on(f'{LOG}\n{TRACEBACK}{TABLE.format(code=-9)}')
    assert said == 'error: rank 1 was ended by signal 9 (SIGKILL), as where memory ran out\n'
    stopped = 'torch.distributed.elastic.multiprocessing.api.SignalException: Process 7 got signal: 2\n'
    assert passed_on(TRACEBACK + stopped) == 'error: stopped by a signal: Process 7 got signal: 2\n'


@pytest.mark.parametrize('error, code', [(UserError('of theirs'), 'error: of theirs'), (RuntimeError('peer'), None)])
def test_the_first_of_several_processes_speaks_for_all(error, code, tmp_path, monkeypatch):
    for rank in (0, 1):
        (tmp_path / str(rank)).mkdir()
        monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(tmp_path / str(rank) / 'error.json'))
        with pytest.raises((SystemExit, RuntimeError)) as stopped, exit_on_user_error():
            raise error
        assert getattr(stopped.value, 'code', None) == (1 if rank else code)


@pytest.mark.slow
def test_two_processes_with_a_broken_config_say_one_sentence(tmp_path):
    (tmp_path / 'broken.py').write_text('model = dict(\n')
    said = subprocess.run(
        ['bash', ROOT / 'tools' / 'dist_train.sh', 'broken.py', '2'],
        cwd=tmp_path,
        env=dict(os.environ, PYTHON=sys.executable, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert said.returncode == 1 and not said.stdout
    assert said.stderr == "error: broken.py:1: '(' was never closed\n"
    assert [path.name for path in tmp_path.iterdir()] == ['broken.py']


@pytest.mark.parametrize('name', ['ä.py', 'a\udce4.py'])
def test_an_ascii_terminal_shows_any_path(name, tmp_path):
    code = (
        'import os, sys\nfrom soho.errors import UserError, exit_on_user_error\n'
        'with exit_on_user_error():\n    print(sys.argv[1])\n    raise UserError(sys.argv[1])'
    )
    said = subprocess.run(
        [sys.executable, '-c', code, name],
        cwd=ROOT,
        env=dict(os.environ, PYTHONIOENCODING='ascii'),
        capture_output=True,
        text=True,
    )
    escaped = os.fsdecode(os.fsencode(name)).encode('ascii', 'backslashreplace').decode()
    assert (said.returncode, said.stdout, said.stderr) == (1, f'{escaped}\n', f'error: {escaped}\n')
