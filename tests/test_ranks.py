"""Who is missing is told by what the store and the machine know of the ranks."""

import os
import signal
import subprocess
import sys
import time

import pytest

from soho import ranks
from soho.errors import TrainingError
from soho.ranks import _machine, _Place, _Ranks


class Store(dict):
    """A store that is in this process, or does not answer."""

    get = dict.__getitem__
    set = dict.__setitem__


def ranks_of(processes, places, timeout=60.0):
    """Rank 0 of so many, of which the others have come to these places."""
    found = object.__new__(_Ranks)
    found.rank, found.size, found.timeout = 0, len(processes), timeout
    found.processes, found._place, found._noted = processes, _Place(), 0.0
    found._store = Store({f'soho/place/{rank}': ' '.join(map(str, place)) for rank, place in places.items()})
    return found


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])
    yield process
    process.kill()
    process.wait()


def here(pid):
    return _machine(), 'node', pid


FAR = 'other', 'far', 7


def test_who_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(ranks, 'ANSWER_TIMEOUT', 0.3)
    found = ranks_of([here(os.getpid())] * 3 + [FAR], {1: _Place(answers=1), 2: _Place(), 3: _Place()})
    assert found.name_absent('timed out').startswith(
        f'rank 2 (process {os.getpid()} on node), rank 3 (process 7 on far) hangs or is gone: the others wait'
    )
    assert found._store['soho/place/0'] == '0 0 1'
    everybody = ranks_of([FAR] * 2, {1: _Place(answers=1)})
    assert everybody.name_absent('timed out') == (
        'the ranks have waited for one another in vain, and all still answer: timed out'
    )


@pytest.mark.skipif(sys.platform != 'linux', reason='the system does not tell')
def test_what_has_become_of_a_process_is_said(sleeper, monkeypatch):
    monkeypatch.setattr(ranks, 'ANSWER_TIMEOUT', 0.3)
    found = ranks_of([here(os.getpid()), here(sleeper.pid), FAR], {1: _Place(), 2: _Place(answers=1)})
    assert found._state(1) == 'there' and found._state(2) == 'remote'
    sleeper.send_signal(signal.SIGSTOP)
    while found._state(1) != 'stopped':
        time.sleep(0.01)
    assert f'rank 1 (process {sleeper.pid} on node) is stopped: the others wait for it' in found.name_absent('')
    sleeper.kill()
    while found._state(1) != 'gone':  # though nobody has asked for its exit code yet
        time.sleep(0.01)
    assert found.name_absent('').startswith(f'rank 1 (process {sleeper.pid} on node) is gone: ')


def test_a_rank_is_waited_for_while_it_makes_progress():
    found = ranks_of([FAR] * 3, {1: _Place(0, 1), 2: _Place(1, 0)}, timeout=0.05)
    found._place = _Place(waits=1)
    seen = dict.fromkeys((1, 2), (None, time.monotonic()))
    for steps in range(2, 6):
        found._check_ranks([1, 2], seen)
        time.sleep(0.03)
        found._store['soho/place/1'] = f'0 {steps} 0'
    time.sleep(0.1)
    found._check_ranks([1, 2], seen)
    time.sleep(0.1)
    with pytest.raises(
        TrainingError, match=r'^rank 1 \(process 7 on far\) hangs or is gone: .* within 0\.05 s \(env_cfg'
    ):
        found._check_ranks([1, 2], seen)  # rank 2 waits as this one does


def test_other_errors_and_one_process_name_nobody(monkeypatch):
    assert ranks.name_absent(RuntimeError('Timed out waiting 5000ms for recv operation to complete')) is None
    monkeypatch.setattr(ranks, '_known', (None, None))
    assert ranks.name_absent(RuntimeError('shapes (3) and (4) do not fit')) is None
    monkeypatch.setattr(ranks, '_known', None)
    ranks.note_progress(), ranks.wait_for_all_ranks()
    assert ranks.group_of_ranks() is None
