"""Ranks that wait for one another with a limit, and the names of those that do not come."""

import os
import socket
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import torch.distributed as dist

from soho.errors import TrainingError

LIMIT = 1800.0
"""Seconds that a rank may show no progress while others wait for it, unless ``env_cfg.dist_cfg.timeout`` says."""

ANSWER_TIMEOUT = 20.0
"""Seconds in which ranks that have waited in vain say that they are there."""

# Of an exchange between ranks that are all there; how long they are waited for is counted here.
_FOREVER = timedelta(days=30)
_STORE_TIMEOUT = timedelta(seconds=5)
_OF_AN_EXCHANGE = ('timed out', 'timeout', 'connection', 'peer')  # what gloo and NCCL say of one that fails


class _Place(NamedTuple):
    """How far a rank has come, in the store that all ranks read."""

    waits: int = 0
    """Times that it has come to where all wait."""
    steps: int = 0
    """Signs of progress, see :func:`note_progress`."""
    answers: int = 0
    """Whether it has answered when asked, see :meth:`_Ranks.name_absent`."""


class _Ranks:
    """The ranks of a process group; made by all of them together.

    Args:
        timeout: Seconds, see :data:`LIMIT`.
    """

    def __init__(self, timeout: float | None) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.timeout = timeout or LIMIT
        group = dist.new_group(backend='gloo', timeout=_FOREVER)
        assert isinstance(group, dist.ProcessGroup)  # every rank is in it
        self.group = group
        # A connection of its own: nobody else's waiting holds it up. torch hands the store out under no other name.
        self._store = dist.distributed_c10d._get_default_store().clone()
        self._store.set_timeout(_STORE_TIMEOUT)
        self._place = _Place()
        self._noted = 0.0
        self._write()
        self.processes: list[Any] = [None] * self.size  # machine, name of the machine, number of the process
        dist.all_gather_object(self.processes, (_machine(), socket.gethostname(), os.getpid()), group=self.group)

    def _write(self, **changes: int) -> None:
        self._place = self._place._replace(**changes)
        with suppress(RuntimeError):  # rank 0 may have gone, which whoever waits for it notices
            self._store.set(f'soho/place/{self.rank}', ' '.join(map(str, self._place)))

    def _read(self, rank: int) -> _Place | None:
        with suppress(RuntimeError):
            return _Place(*map(int, self._store.get(f'soho/place/{rank}').split()))

    def note_progress(self) -> None:
        now = time.monotonic()
        if now - self._noted > min(1.0, self.timeout / 20):
            self._noted = now
            self._write(steps=self._place.steps + 1)

    def wait(self) -> None:
        arrived = dist.barrier(group=self.group, async_op=True)
        self._write(waits=self._place.waits + 1)
        others = [rank for rank in range(self.size) if rank != self.rank]
        seen: dict[int, tuple[_Place | None, float]] = dict.fromkeys(others, (None, time.monotonic()))
        pause, check_every = 1e-3, min(10.0, self.timeout / 10)
        checked = time.monotonic()
        while not arrived.is_completed():
            time.sleep(pause)
            pause = min(1.1 * pause, 0.1)
            if time.monotonic() - checked > check_every:
                checked = time.monotonic()
                self._check_ranks(others, seen)
        arrived.wait()  # raises where a rank has gone

    def _check_ranks(self, others: list[int], seen: dict[int, tuple[_Place | None, float]]) -> None:
        """Raise where a rank that has not come has shown no progress for too long."""
        now = time.monotonic()
        for rank in others:
            place = self._read(rank)
            if place is not None and place != seen[rank][0]:
                seen[rank] = place, now
        hanging = [
            rank
            for rank, (place, changed) in seen.items()
            if now - changed > self.timeout and (place is None or place.waits < self._place.waits)
        ]
        if hanging:
            raise TrainingError(self._describe(hanging))

    def name_absent(self, reason: str) -> str:
        """Ask all ranks to answer; returns a sentence on who does not, or on the reason for which all have waited."""
        self._write(answers=1)
        others = {rank for rank in range(self.size) if rank != self.rank}
        end = time.monotonic() + ANSWER_TIMEOUT
        while others and time.monotonic() < end:
            gone = [rank for rank in others if self._state(rank) == 'gone']
            if gone:
                others = set(gone)
                break
            places = {rank: self._read(rank) for rank in others}
            if all(place is None for place in places.values()):
                others = {0}  # which holds the store
            others = {rank for rank in others if (place := places.get(rank)) is None or not place.answers}
            time.sleep(0.1)
        if not others:
            return f'the ranks have waited for one another in vain, and all still answer: {reason}'
        return self._describe(sorted(others))

    def _describe(self, ranks: list[int]) -> str:
        names = ', '.join(
            f'rank {rank} (process {self.processes[rank][2]} on {self.processes[rank][1]})' for rank in ranks
        )
        states = {self._state(rank) for rank in ranks}
        if states == {'gone'}:
            return (
                f'{names} is gone: what it has said last says why; one that has said nothing was killed, as where '
                'memory ran out; --resume goes on'
            )
        how = 'is stopped' if states == {'stopped'} else 'hangs' if 'remote' not in states else 'hangs or is gone'
        return (
            f'{names} {how}: the others wait for it, and it has shown no progress within {self.timeout:g} s '
            '(env_cfg.dist_cfg.timeout); --resume goes on'
        )

    def _state(self, rank: int) -> str:
        """``'gone'``, ``'stopped'``, ``'there'``, or ``'remote'`` where this machine cannot know."""
        machine, _, pid = self.processes[rank]
        if machine != _machine():
            return 'remote'
        if not Path('/proc/self/stat').exists():  # not Linux
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return 'gone'
            return 'there'
        try:
            state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
        except OSError:
            return 'gone'
        return dict(Z='gone', X='gone', T='stopped', t='stopped').get(state, 'there')


def _machine() -> str:
    """What processes have in common that know each other by their numbers; containers may share a machine's name."""
    with suppress(OSError):
        return f'{socket.gethostname()} {os.readlink("/proc/self/ns/pid")}'
    return socket.gethostname()


_known: tuple[Any, _Ranks] | None = None  # of a process group


def prepare_ranks(timeout: float | None = None) -> None:
    """Let the ranks know of each other; all have to call this, and where there is one it does nothing.

    Args:
        timeout: Seconds that a rank may show no progress while others wait for it; half an hour by default.
    """
    global _known
    if not dist.is_initialized() or dist.get_world_size() == 1:
        _known = None
    elif _known is None or _known[0] is not dist.group.WORLD:
        _known = dist.group.WORLD, _Ranks(timeout)
    elif timeout is not None:
        _known[1].timeout = timeout


def _ranks() -> _Ranks | None:
    prepare_ranks()
    return None if _known is None else _known[1]


def note_progress() -> None:
    """Say that this rank does something, so that those that wait for it go on waiting; costs next to nothing."""
    if _known is not None:
        _known[1].note_progress()


def group_of_ranks() -> Any:
    """All ranks over gloo, for an exchange after :func:`wait_for_all_ranks`: records stay in host memory."""
    ranks = _ranks()
    return None if ranks is None else ranks.group


def wait_for_all_ranks() -> None:
    """Return when every rank has come here, however long that takes while those that are missing make progress.

    Raises:
        TrainingError: A rank has shown no progress (:func:`note_progress`) for as long as the config allows.
        RuntimeError: A rank has ended; see :func:`name_absent`.
    """
    ranks = _ranks()
    if ranks is not None:
        ranks.wait()


def name_absent(error: RuntimeError) -> TrainingError | None:
    """An error that says which ranks do not answer, for one of an exchange between ranks that has failed."""
    text = str(error).lower()
    is_of_exchange = isinstance(error, dist.DistError) or any(word in text for word in _OF_AN_EXCHANGE)
    if _known is None or not is_of_exchange:
        return None
    return TrainingError(_known[1].name_absent(str(error)))
