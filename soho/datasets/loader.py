"""torch's data loader, which names a worker process that hangs or dies."""

import copy
import re
import signal
import weakref
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch.utils.data

from soho.datasets.sample_key import SampleKey
from soho.errors import TrainingError

WORKER_TIMEOUT = 1800
"""Seconds within which a worker delivers a batch, by default."""

_ENDED = re.compile(r'DataLoader worker \(pid(?:\(s\))? (\d+)')  # and how, in torch's words


class DataLoader(torch.utils.data.DataLoader):
    """As torch's, whose errors about worker processes say which worker, of which loader, and on what it was at work.

    Attributes:
        source: Its name in the config, such as ``train_dataloader``.
        describe_batch: Says in words which batch it is, of the number of a batch since the iterator was made.
    """

    source: str = 'the data loader'
    describe_batch: Callable[[int], str] | None = None
    _reading: Callable[[], Any] = staticmethod(lambda: None)  # a weak reference: workers end with their iterator

    @staticmethod
    def adopt(loader: Any) -> Any:
        """The loader, which is of this class from now on if it is torch's own."""
        if type(loader) is torch.utils.data.DataLoader:  # as mmengine builds them
            loader.__class__ = DataLoader
        return loader

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        iterator = super().__iter__()
        self._reading = weakref.ref(iterator)
        return self._read(iterator)

    def _read(self, iterator: Any) -> Iterator[Any]:
        number = 0
        while True:
            try:
                batch = next(iterator)
            except StopIteration:
                return
            except RuntimeError as error:
                named = self.name_worker(error, number)
                if named is None:
                    raise
                raise named from error
            yield batch
            number += 1

    def name_worker(self, error: RuntimeError, number: int | None = None) -> TrainingError | None:
        """An error that names the worker which one of torch's is about; ``None`` where that is about something else.

        torch tells of a worker that has been killed at once, wherever the main process is.

        Args:
            error: What was raised.
            number: Of the batch that was waited for.
        """
        if isinstance(error, TrainingError):
            return None
        if number is not None and 'DataLoader timed out' in str(error):
            return self._name_hanging(number)
        ended = _ENDED.match(str(error))
        workers = getattr(self._reading(), '_workers', [])
        if not ended:
            return None
        pid = int(ended[1])
        place = next((place for place, process in enumerate(workers) if process.pid == pid), None)
        if place is None:
            return None
        code = workers[place].exitcode
        how = f'has ended with code {code}'
        if code is None or code < 0:
            how = f'was ended by {"a signal" if code is None else signal.Signals(-code).name}'
        reason = ''
        if code in (-signal.SIGKILL, None):
            reason = f', as where memory ran out: fewer workers ({self.source}.num_workers) need less'
        elif code == -signal.SIGBUS:
            reason = ', as where shared memory ran out: make /dev/shm larger (docker run --shm-size)'
        return TrainingError(
            f'the data worker {place} (process {pid}) of {self.source} {how}{reason}; --resume goes on'
        )

    def _name_hanging(self, number: int) -> TrainingError:
        """An error that says which worker owes a batch; the worker is killed, since the others would wait for it."""
        iterator, owes = self._reading(), ''
        worker = (getattr(iterator, '_task_info', {}).get(getattr(iterator, '_rcvd_idx', None)) or [None])[0]
        if worker is not None:
            process = iterator._workers[worker]
            owes = f' {worker} (process {process.pid})'
            process.kill()
            process.join()
        batch = (self.describe_batch or self._describe_batch)(number)
        return TrainingError(
            f'the data worker{owes} of {self.source} has not delivered {batch} within {self.timeout:g} s '
            f'({self.source}.timeout): look at the storage that its samples are on, and go on with --resume'
        )

    def _describe_batch(self, number: int) -> str:
        return f'batch {number}{say_samples(self.samples_of(number))}'

    def samples_of(self, number: int, epoch: int | None = None) -> list[int]:
        """Indices of the samples of a batch of this rank, found by going through the sampler again.

        Args:
            number: Number of the batch since the iterator was made.
            epoch: Epoch of the data; by default the one that the sampler is set to.

        Returns:
            Nothing where the sampler may draw others the second time: one without ``set_epoch``.
        """
        batches: Any = copy.copy(self.batch_sampler)
        sampler: Any = getattr(batches, 'sampler', None)
        if batches is None or not hasattr(sampler, 'set_epoch'):
            return []
        batches.sampler = copy.copy(sampler)
        if epoch is not None:
            batches.sampler.set_epoch(epoch)
        return [SampleKey.of(key).index for key in next(islice(iter(batches), number, None), [])]


def say_samples(samples: list[int], most: int = 32) -> str:
    """``'; its samples are 3, 5'`` for a message about a batch; nothing where they are not known."""
    shown = ', '.join(map(str, samples[:most])) + (', ...' if samples[most:] else '')
    return f'; its samples are {shown}' if samples else ''
