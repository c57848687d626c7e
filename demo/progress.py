"""A pipeline of stages with a cache: finished stages are skipped, an interrupted one is resumed.

Nothing here imports torch, so that a pipeline with nothing to do ends at once.
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

VERSION = 2  # version of the file; a file of another version is ignored
_HASHED_BYTES = 16 << 20  # larger files are known by their size and time of change


class Outcome(NamedTuple):
    """Files and result of a stage."""

    files: Sequence[str | os.PathLike]
    """Files that it wrote; where one of them is missing or has changed, the stage runs again."""
    result: Any = None
    """Metrics and paths; JSON values."""


@dataclass(frozen=True)
class Stage:
    """One stage of a pipeline.

    Args:
        name: Key in the cache.
        title: Description that is printed.
        run: Function that runs the stage. It receives the results of the finished stages by name, and
            whether to resume an interrupted attempt with the same inputs.
        settings: Everything that the outcome depends on besides other stages; JSON values.
        after: Names of the stages whose outcome it uses.
    """

    name: str
    title: str
    run: Callable[[dict[str, Any], bool], Outcome]
    settings: Any = None
    after: tuple[str, ...] = ()


class StageCache:
    """Record of the finished stages in a file: fingerprint of their inputs, files, results and seconds.

    A stage is done if it finished with the same settings and with the same
    files of the stages it depends on, and its own files have not changed since.

    Args:
        path: Path of the file; it is written when the first stage begins.

    Raises:
        ValueError: The file is something else.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.records: dict[str, dict] = {}
        if self.path.exists():
            try:
                state = json.loads(self.path.read_text(encoding='utf-8'))
                self.records = state['stages'] if state.get('version') == VERSION else {}
            except (ValueError, KeyError, AttributeError) as error:
                raise UserError(f'{self.path} is not the state of a demo ({error}): remove it to start over') from error

    def done(self, stage: Stage) -> bool:
        """Whether the stage can be skipped, given that the stages it depends on can."""
        record = self.records.get(stage.name, {})
        return (
            record.get('status') == 'done'
            and record['fingerprint'] == self._input_fingerprint(stage)
            and all(_fingerprint(path) == fingerprint for path, fingerprint in record['files'].items())
        )

    def all_done(self, stages: Sequence[Stage]) -> bool:
        """Whether every stage can be skipped."""
        return all(map(self.done, stages))

    def run(self, stages: Sequence[Stage], log: Callable[[str], None] = print) -> None:
        """Run the stages that are not done, in order; ``log`` receives a line when one begins and ends."""
        for number, stage in enumerate(stages, start=1):
            head = f'[{number}/{len(stages)}] {stage.title}'
            if self.done(stage):
                log(f'{head}: done')
                continue
            self._run_one(stage, head, log)

    def results(self) -> dict[str, Any]:
        """Return the results of the finished stages by name."""
        return {name: record['result'] for name, record in self.records.items() if record['status'] == 'done'}

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage, all its attempts together."""
        return {name: record['seconds'] for name, record in self.records.items()}

    def _run_one(self, stage: Stage, head: str, log: Callable[[str], None]) -> None:
        fingerprint = self._input_fingerprint(stage)
        record = self.records.get(stage.name, {})
        resumed = record.get('status') == 'running' and record['fingerprint'] == fingerprint
        spent = record['seconds'] if resumed else 0.0
        log(f'{head}: {"resumed" if resumed else "started"}')
        self._record(stage, fingerprint=fingerprint, status='running', seconds=spent)
        started = time.monotonic()
        try:
            outcome = stage.run(self.results(), resumed)
        except BaseException:
            spent += time.monotonic() - started
            self._record(stage, fingerprint=fingerprint, status='running', seconds=round(spent, 1))
            raise
        spent += time.monotonic() - started
        files = {os.fspath(path): _fingerprint(path) for path in outcome.files}
        missing = [path for path, fingerprint in files.items() if fingerprint is None]
        if missing:
            raise FileNotFoundError(f'the stage {stage.name!r} did not write {missing[0]}')
        self._record(
            stage, fingerprint=fingerprint, status='done', seconds=round(spent, 1), files=files, result=outcome.result
        )
        log(f'{head}: {spent:.0f} s')

    def _input_fingerprint(self, stage: Stage) -> str:
        inputs = [sorted(self.records.get(name, {}).get('files', {}).items()) for name in stage.after]
        return hashlib.sha256(json.dumps([stage.settings, inputs], sort_keys=True).encode()).hexdigest()

    def _record(self, stage: Stage, **record: Any) -> None:
        self.records[stage.name] = record
        write_text(self.path, json.dumps(dict(version=VERSION, stages=self.records), indent=1) + '\n')


def _fingerprint(path: str | os.PathLike) -> str | None:
    """Return a text that changes when the file does; None without such a file."""
    try:
        stat = os.stat(path)
        if stat.st_size > _HASHED_BYTES:
            return f'{stat.st_size} bytes of {stat.st_mtime_ns}'
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError:
        return None
