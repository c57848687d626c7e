"""The signals that tell a run to stop, and what they do before it trains. Imports nothing that takes long."""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

from soho.errors import Stopped

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


@contextmanager
def stop_before_training() -> Generator[None, None, None]:
    """Context of what comes before a training, in which SIGTERM and SIGUSR1 end the run at once: nothing is lost.

    Raises:
        Stopped: One of them has come.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        os.write(2, f'{name}: the run stops before it has begun to train\n'.encode())
        raise Stopped(f'stopped by {name}')

    before = {number: signal.signal(number, stop) for number in SIGNALS if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
