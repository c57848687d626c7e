"""A long job in stages that can be repeated and goes on where it was interrupted.

Nothing here imports torch: a job that has nothing to do says so at once.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from soho.errors import UserError
from soho.files import write_text

_HASHED_WHOLE = 16 << 20  # bytes; of larger files size and time of change have to do


class Outcome(NamedTuple):
    """What a stage hands to those behind it."""

    files: Sequence[str | os.PathLike]
    """What it made; it has to be made again where one of these is missing or was changed."""
    result: Any = None
    """Figures and paths; JSON values."""


@dataclass(frozen=True)
class Stage:
    """One stage of a job.

    Args:
        name: Its key in the cache.
        title: What it does, for the person who waits.
        run: Does it. Called with the results of the stages before by name, and
            whether an interrupted attempt at the same is to be continued.
        settings: All that the outcome depends on besides other stages; JSON values.
        after: Names of the stages whose outcome it uses.
    """

    name: str
    title: str
    run: Callable[[dict[str, Any], bool], Outcome]
    settings: Any = None
    after: tuple[str, ...] = ()


class StageCache:
    """``state.json``: which stages were done, from what, and how long they took.

    A stage is done if it was finished with the same settings and with the same
    files of the stages it depends on, and what it made is still there.

    Args:
        path: The file; made with its folder when the first stage begins.

    Raises:
        ValueError: The file is no cache.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.records: dict[str, dict] = {}
        if self.path.exists():
            try:
                self.records = json.loads(self.path.read_text(encoding='utf-8'))['stages']
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f'{self.path} is not the state of a demo ({error}): remove it to start over') from error

    def done(self, stage: Stage) -> bool:
        """Whether there is nothing to do; the stages it depends on must be done."""
        record = self.records.get(stage.name, {})
        return (
            record.get('status') == 'done'
            and record['fingerprint'] == self._fingerprint(stage)
            and all(_stamp(path) == stamp for path, stamp in record['files'].items())
        )

    def all_done(self, stages: Sequence[Stage]) -> bool:
        return all(map(self.done, stages))

    def run(self, stages: Sequence[Stage], say: Callable[[str], None] = print) -> None:
        """Run what is not done, in order; an interruption leaves everything before it done."""
        for number, stage in enumerate(stages, start=1):
            head = f'[{number}/{len(stages)}] {stage.title}'
            if self.done(stage):
                say(f'{head}: done')
                continue
            self._run_one(stage, head, say)

    def results(self) -> dict[str, Any]:
        """Results of the finished stages by name."""
        return {name: record['result'] for name, record in self.records.items() if record['status'] == 'done'}

    def seconds(self) -> dict[str, float]:
        """Seconds of each stage, all its attempts together."""
        return {name: record['seconds'] for name, record in self.records.items()}

    def _run_one(self, stage: Stage, head: str, say: Callable[[str], None]) -> None:
        fingerprint = self._fingerprint(stage)
        record = self.records.get(stage.name, {})
        resumed = record.get('status') == 'running' and record['fingerprint'] == fingerprint
        spent = record['seconds'] if resumed else 0.0
        say(f'{head}: {"goes on" if resumed else "begins"}')
        self._record(stage, fingerprint=fingerprint, status='running', seconds=spent)
        started = time.monotonic()
        try:
            outcome = stage.run(self.results(), resumed)
        except BaseException:
            spent += time.monotonic() - started
            self._record(stage, fingerprint=fingerprint, status='running', seconds=round(spent, 1))
            raise
        spent += time.monotonic() - started
        files = {os.fspath(path): _stamp(path) for path in outcome.files}
        missing = [path for path, stamp in files.items() if stamp is None]
        if missing:
            raise FileNotFoundError(f'{stage.title} ended without having written {missing[0]}')
        self._record(
            stage, fingerprint=fingerprint, status='done', seconds=round(spent, 1), files=files, result=outcome.result
        )
        say(f'{head}: {spent:.0f} s')

    def _fingerprint(self, stage: Stage) -> str:
        made = [sorted(self.records.get(name, {}).get('files', {}).items()) for name in stage.after]
        return hashlib.sha256(json.dumps([stage.settings, made], sort_keys=True).encode()).hexdigest()

    def _record(self, stage: Stage, **record: Any) -> None:
        self.records[stage.name] = record
        write_text(self.path, json.dumps(dict(stages=self.records), indent=1) + '\n')


def _stamp(path: str | os.PathLike) -> str | None:
    """What changes when the file does; None without such a file."""
    try:
        stat = os.stat(path)
        if stat.st_size > _HASHED_WHOLE:
            return f'{stat.st_size} bytes of {stat.st_mtime_ns}'
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
