"""Several processes are one to who starts them: signals, exit code, and one sentence on what is wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from soho.errors import TrainingError, UserError, exit_on_user_error

ROOT = Path(__file__).resolve().parents[1]


def start(*command, **options):
    """Start what tools/launch.sh is told, in two processes, in a session of its own."""
    return subprocess.Popen(
        ['bash', ROOT / 'tools' / 'launch.sh', *command],
        env=dict(os.environ, PYTHON=sys.executable, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'it never came to this'
        time.sleep(0.05)


def is_there(pid):
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


# A run in a file: it says that it is there, and what the first signal was that it has got.
RUN = """
import os, signal, sys, time

def stop(number, frame):
    time.sleep(float(sys.argv[1]))  # as where a checkpoint is written
    open(f'{os.environ["RANK"]}.heard', 'w').write(signal.Signals(number).name)
    os._exit(75)

for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
    signal.signal(number, stop)
open(f'{os.environ["RANK"]}.pid', 'w').write(str(os.getpid()))
time.sleep(100)
"""


@pytest.fixture
def run(tmp_path):
    """A function that starts two processes, and returns their launcher and their numbers."""
    started = []

    def begin():
        (tmp_path / 'run.py').write_text(RUN)
        launcher = start(tmp_path / 'run.py', '2', '0.5', cwd=tmp_path)
        started.append(launcher)
        files = [tmp_path / f'{rank}.pid' for rank in (0, 1)]
        wait_for(lambda: all(file.exists() and file.read_text() for file in files))
        return launcher, [int(file.read_text()) for file in files]

    yield begin
    for launcher in started:
        launcher.kill()
        launcher.communicate()


@pytest.mark.parametrize(
    'number, heard',
    [(signal.SIGTERM, 'SIGTERM'), (signal.SIGUSR1, 'SIGUSR1'), (signal.SIGINT, 'SIGINT'), (signal.SIGHUP, 'SIGTERM')],
    ids=str,
)
def test_a_signal_goes_on_to_the_processes_and_the_code_is_theirs(number, heard, run, tmp_path):
    launcher, ranks = run()
    launcher.send_signal(number)
    said = launcher.communicate(timeout=100)
    assert launcher.returncode == 75 and said == ('', '')
    assert [(tmp_path / f'{rank}.heard').read_text() for rank in (0, 1)] == [heard, heard]
    assert not any(map(is_there, ranks))


def test_a_process_that_was_killed_cannot_say_so_itself(run):
    launcher, ranks = run()
    os.kill(ranks[1], signal.SIGKILL)
    said = launcher.communicate(timeout=100)
    assert launcher.returncode == 128 + signal.SIGKILL
    assert said == ('', 'error: rank 1 was ended by signal 9 (SIGKILL), as where memory ran out\n')
    assert not any(map(is_there, ranks))


@pytest.mark.skipif(sys.platform != 'linux', reason='the system does not tell children')
def test_a_launcher_that_is_killed_leaves_nothing(run, tmp_path):
    launcher, ranks = run()
    launcher.kill()
    wait_for(lambda: not any(map(is_there, ranks)))
    assert [(tmp_path / f'{rank}.heard').read_text() for rank in (0, 1)] == ['SIGTERM', 'SIGTERM']


@pytest.mark.slow
def test_two_ranks_that_a_launcher_has_started(tmp_path):
    """They save where it gets a signal, after the same step."""
    folder = tmp_path / 'run'
    launcher = start(ROOT / 'tests' / 'engine' / 'small_runs.py', '2', folder)
    wait_for((folder / 'samples1.txt').exists)
    ranks = children_of(launcher.pid)
    launcher.send_signal(signal.SIGUSR1)
    said = launcher.communicate(timeout=200)
    assert launcher.returncode == 75, said
    saved = [path.name for path in folder.glob('iter_*.pth')]
    assert len(saved) == 1 and f'stopped by SIGUSR1 after iteration {saved[0][5:-4]}: saved as' in said[0]
    assert 'Traceback' not in said[1] and len(ranks) == 2 and not any(map(is_there, ranks))


def children_of(pid):
    return [int(child) for path in Path(f'/proc/{pid}/task').glob('*/children') for child in path.read_text().split()]


@pytest.mark.parametrize(
    'error, code',
    [
        (UserError('of theirs'), 'error: of theirs'),
        (TrainingError('rank 1 hangs'), 'error: rank 1 hangs'),  # where no log is kept
        (RuntimeError('peer'), None),
    ],
)
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
