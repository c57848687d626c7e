"""A stage of the demo in a process of its own, with its output in a file."""

import multiprocessing
import multiprocessing.connection
import os
import re
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from soho.errors import UserError

_STOP_SECONDS = 60.0  # a training saves a checkpoint before it ends
# What mmengine's logger puts before 'Epoch(train)  [1][ 50/375]  lr: ...'.
_PROGRESS = re.compile(r'- INFO - (Epoch\(\w+\).*|Iter\(\w+\).*)')


class StageProcess:
    """A running stage.

    The process gets its own log, ``FOLDER/NAME.log``, to which both of its
    output streams are appended. It is interrupted as by Ctrl-C when this process asks it to stop.

    Args:
        name: Name of the stage.
        run: Function of results and ``resumed``; both it and what it returns can be pickled.
        results: Results of the finished stages by name.
        resumed: Whether to go on with an interrupted attempt.
        logs: Folder of the log.
    """

    def __init__(
        self, name: str, run: Callable[[dict, bool], Any], results: dict[str, Any], resumed: bool, logs: Path
    ) -> None:
        self.name = name
        logs.mkdir(parents=True, exist_ok=True)
        self.log_path = logs / f'{name}.log'
        self.log_path.touch()
        self._read = self.log_path.stat().st_size
        context = multiprocessing.get_context('spawn')  # a fork would copy torch's threads half
        self._receiver, sender = context.Pipe(duplex=False)
        self._started = time.monotonic()
        self._ended: float | None = None
        arguments = (run, results, resumed, sender, os.fspath(self.log_path))
        self._process = context.Process(target=_run_stage, args=arguments, name=name)
        self._process.start()
        sender.close()

    @property
    def sentinel(self) -> int:
        """Handle that is ready when the process has ended, for ``multiprocessing.connection.wait``."""
        return self._process.sentinel

    def seconds(self) -> float:
        """Return how long the process has run."""
        return (self._ended or time.monotonic()) - self._started

    def new_progress(self) -> list[str]:
        """Return the training's lines of progress since the last call."""
        with open(self.log_path, 'rb') as file:
            file.seek(self._read)
            text = file.read()
        text = text[: text.rfind(b'\n') + 1]
        self._read += len(text)
        return [match[1] for match in map(_PROGRESS.search, text.decode('utf-8', 'replace').splitlines()) if match]

    def outcome(self) -> Any:
        """Return what the stage returned, after the process has ended.

        Raises:
            UserError: The stage raised, or the process was killed.
            KeyboardInterrupt: The stage was interrupted.
        """
        self._process.join()
        self._ended = time.monotonic()
        try:
            kind, value = self._receiver.recv()
        except EOFError:
            kind, value = 'failed', f'the process ended with code {self._process.exitcode}'
        if kind == 'interrupted':
            raise KeyboardInterrupt
        if kind == 'refused':
            raise UserError(value)
        if kind == 'failed':
            raise UserError(f'the stage {self.name!r} failed ({value}); see {self.log_path}')
        return value

    def stop(self) -> None:
        """Interrupt the stage and wait until its process has ended."""
        self._process.terminate()
        self._process.join(_STOP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._ended = time.monotonic()


def wait_for_any(processes: Sequence[StageProcess], log: Callable[[str], None], interval: float = 2.0) -> str:
    """Return the name of the first stage whose process ends, and hand on the progress of all until then.

    Args:
        processes: The running stages.
        log: Function that receives each line of progress, after the name of its stage.
        interval: Seconds between two looks at the logs.
    """
    while True:
        ended = multiprocessing.connection.wait([process.sentinel for process in processes], timeout=interval)
        for process in processes:
            for line in process.new_progress():
                log(f'{process.name}: {line}')
        for process in processes:
            if process.sentinel in ended:
                return process.name


def _run_stage(run: Callable, results: dict, resumed: bool, sender: Any, log_path: str) -> None:
    """Run the stage in the new process; the outcome, or what went wrong, goes through the pipe."""
    log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        message = 'done', run(results, resumed)
    except KeyboardInterrupt:
        message = 'interrupted', None
    except UserError as error:
        message = 'refused', str(error)
    except Exception as error:
        traceback.print_exc()
        message = 'failed', f'{type(error).__name__}: {error}'
    sender.send(message)
