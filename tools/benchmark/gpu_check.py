"""What is to be known of a machine with one GPU: which parts, how large, and for how long."""

import time
from argparse import Namespace

MINUTES = dict(cuda=8, cpu=30)  # after which no further part begins
# At few repetitions; on a CPU, where it is to be seen that all parts work, at sizes of seconds.
SIZES = dict(
    cuda=dict(images=8, batches=[8], repeat=3), cpu=dict(images=2, sentences=2, size=(64, 96), batches=[2], repeat=1)
)
OURS = ('device_tests', 'floors', 'pretrain', 'vqa', 'virtex')


def parts_of(args: Namespace) -> list[str]:
    """Return the parts of the check; the official releases are compared where their checkouts are named."""
    official = [part for part in ('official_soho', 'official_virtex') if getattr(args, part)]
    return [*OURS, *official, 'alternatives']


def check_time(started: float, minutes: float | None) -> None:
    """Refuse to begin another part when the minutes are over.

    Args:
        started: ``time.monotonic()`` at the start.
        minutes: ``None`` for no limit.

    Raises:
        TimeoutError: They are over.
    """
    if minutes is not None and time.monotonic() - started > 60 * minutes:
        raise TimeoutError(f'the {minutes} minutes of the check are over; name this part alone to measure it')
