"""A pipeline of stages with a cache: finished stages are skipped, an interrupted one is resumed.

Stages that do not wait for each other may run at the same time, each in a process of its own. Nothing here imports
torch, so that a pipeline with nothing to do ends at once.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from demo.stage_process import StageProcess, wait_for_any
from soho.errors import UserError
from soho.files import hash_file, write_text

VERSION = 3  # version of the file; a file of another version is ignored
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
        own_process: Whether it runs in a process of its own, beside others; ``run`` can then be pickled.
    """

    name: str
    title: str
    run: Callable[[dict[str, Any], bool], Outcome]
    settings: Any = None
    after: tuple[str, ...] = ()
    own_process: bool = False


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
        self._elapsed_before = 0.0
        self._started: float | None = None
        if self.path.exists():
            try:
                state = json.loads(self.path.read_text(encoding='utf-8'))
                if state.get('version') == VERSION:
                    self.records, self._elapsed_before = state['stages'], float(state['elapsed'])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
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

    def run(self, stages: Sequence[Stage], log: Callable[[str], None] = print, processes: int = 1) -> None:
        """Run the stages that are not done, each after those that it uses.

        Args:
            stages: The stages in an order in which they could run one by one.
            log: Function that receives a line when a stage begins and ends, and the progress of those in processes.
            processes: How many stages with ``own_process`` run at the same time; 0 means none, all run here.

        Raises:
            UserError: A stage failed; its log is named. The others were interrupted.
        """
        self._started = time.monotonic()
        heads = {stage.name: f'[{i}/{len(stages)}] {stage.title}' for i, stage in enumerate(stages, start=1)}
        waiting = {stage.name: stage for stage in stages}
        running: dict[str, tuple[Stage, StageProcess]] = {}
        try:
            while waiting or running:
                for stage in list(waiting.values()):
                    if any(name in waiting or name in running for name in stage.after):
                        continue
                    if self.done(stage):
                        log(f'{heads[stage.name]}: done')
                    elif not (stage.own_process and processes):
                        self._run_here(stage, heads[stage.name], log)
                    elif len(running) < processes:
                        running[stage.name] = stage, self._start(stage, heads[stage.name], log)
                    else:
                        continue
                    del waiting[stage.name]
                    break  # what waited for this one comes before those that follow
                else:
                    ended = wait_for_any([process for _, process in running.values()], log)
                    stage, process = running.pop(ended)
                    self._finish(stage, process.outcome(), process.seconds(), heads[stage.name], log)
        finally:
            for stage, process in running.values():
                process.stop()
                self._interrupted(stage, process.seconds())
            self._elapsed_before, self._started = self.elapsed(), None

    def results(self) -> dict[str, Any]:
        """Return the results of the finished stages by name."""
        return {name: record['result'] for name, record in self.records.items() if record['status'] == 'done'}

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage, all its attempts together."""
        return {name: record['seconds'] for name, record in self.records.items()}

    def elapsed(self) -> float:
        """Return the seconds that all runs of the pipeline took, in which stages may have overlapped."""
        return round(self._elapsed_before + (time.monotonic() - self._started if self._started else 0.0), 1)

    def _begin(self, stage: Stage, head: str, log: Callable[[str], None]) -> bool:
        """Record that a stage runs; return whether it goes on with an interrupted attempt."""
        fingerprint = self._input_fingerprint(stage)
        record = self.records.get(stage.name, {})
        resumed = record.get('status') == 'running' and record['fingerprint'] == fingerprint
        log(f'{head}: {"resumed" if resumed else "started"}')
        self._record(stage, fingerprint=fingerprint, status='running', seconds=record['seconds'] if resumed else 0.0)
        return resumed

    def _run_here(self, stage: Stage, head: str, log: Callable[[str], None]) -> None:
        resumed = self._begin(stage, head, log)
        started = time.monotonic()
        try:
            outcome = stage.run(self.results(), resumed)
        except BaseException:
            self._interrupted(stage, time.monotonic() - started)
            raise
        self._finish(stage, outcome, time.monotonic() - started, head, log)

    def _start(self, stage: Stage, head: str, log: Callable[[str], None]) -> StageProcess:
        resumed = self._begin(stage, head, log)
        return StageProcess(stage.name, stage.run, self.results(), resumed, self.path.parent / 'logs')

    def _interrupted(self, stage: Stage, seconds: float) -> None:
        record = self.records[stage.name]
        self._record(stage, **dict(record, seconds=round(record['seconds'] + seconds, 1)))

    def _finish(self, stage: Stage, outcome: Outcome, seconds: float, head: str, log: Callable[[str], None]) -> None:
        record = self.records[stage.name]
        spent = record['seconds'] + seconds
        files = {os.fspath(path): _fingerprint(path) for path in outcome.files}
        missing = [path for path, fingerprint in files.items() if fingerprint is None]
        if missing:
            raise FileNotFoundError(f'the stage {stage.name!r} did not write {missing[0]}')
        self._record(
            stage,
            fingerprint=record['fingerprint'],
            status='done',
            seconds=round(spent, 1),
            files=files,
            result=outcome.result,
        )
        log(f'{head}: {spent:.0f} s')

    def _input_fingerprint(self, stage: Stage) -> str:
        inputs = [sorted(self.records.get(name, {}).get('files', {}).items()) for name in stage.after]
        return hashlib.sha256(json.dumps([stage.settings, inputs], sort_keys=True).encode()).hexdigest()

    def _record(self, stage: Stage, **record: Any) -> None:
        self.records[stage.name] = record
        write_text(
            self.path, json.dumps(dict(version=VERSION, elapsed=self.elapsed(), stages=self.records), indent=1) + '\n'
        )


def _fingerprint(path: str | os.PathLike) -> str | None:
    """Return a text that changes when the file does; None without such a file."""
    try:
        stat = os.stat(path)
        if stat.st_size > _HASHED_BYTES:
            return f'{stat.st_size} bytes of {stat.st_mtime_ns}'
        return hash_file(path)
    except FileNotFoundError:
        return None
