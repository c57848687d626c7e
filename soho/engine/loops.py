"""Training loops that go on exactly where a run stopped, within an epoch as well."""

import bisect
import copy
from abc import abstractmethod
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop
from mmengine.runner.utils import calc_dynamic_intervals
from torch import nn

from soho.datasets.loader import DataLoader, say_samples
from soho.datasets.samplers import Place
from soho.engine.checkpoint.errors import SettingsMismatchError
from soho.engine.checkpoint.read import is_count
from soho.engine.data_order import describe_order, first_difference
from soho.engine.hooks.checkpoint import CheckpointHook
from soho.engine.random_state import get_random_state, set_random_state
from soho.engine.stopping import Interrupted, Request
from soho.errors import Stopped, UserError
from soho.ranks import wait_for_all_ranks
from soho.registry import LOOPS

AROUND_VALIDATION = ('before_val_epoch', 'after_val_epoch')  # methods of hooks


class TrainLoop(BaseLoop):
    """What loops by epochs and by iterations have in common: the way through the data, and the state of it.

    The random state of all later steps is that of an unbroken run, whichever workers read the data.

    Args:
        runner: The runner.
        dataloader: The training data.
        val_begin: First epoch or iteration after which there is a validation.
        val_interval: Epochs or iterations between validations.
        dynamic_intervals: Pairs of an epoch or iteration and the interval from there on.
    """

    dataloader: Any  # mmengine leaves open whether it is built

    def __init__(
        self,
        runner,
        dataloader: DataLoader | dict,
        val_begin: int = 1,
        val_interval: int = 1,
        dynamic_intervals: list[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__(runner, dataloader)
        self.val_begin, self.val_interval = val_begin, val_interval
        self.dynamic_milestones, self.dynamic_intervals = calc_dynamic_intervals(val_interval, dynamic_intervals)
        self.stop_training = False  # set by EarlyStoppingHook
        self._epoch = self._iter = 0
        self._max_epochs = self._max_iters = 1
        runner.visualizer.dataset_meta = getattr(self.dataloader.dataset, 'metainfo', None)
        self._data_epoch = 0
        self._taken = 0  # batches of this epoch that have been trained on
        self._start = (0, 0)  # an epoch that began at a place within, and the number of its first batch
        self._validated = True  # there is nothing new to validate
        self._order_of_samples: dict[str, Any] | None = None
        self._random_state: dict[str, Any] | None = None
        # torch's loader draws a number for its workers when it is opened; persistent workers are opened once.
        self._draws_each_epoch = not self.dataloader.persistent_workers
        self._drawn: int | None = None  # the last epoch for which it was
        self.dataloader.describe_batch = self._describe_batch

    @property
    def max_epochs(self) -> int:
        """Epochs of the training."""
        return self._max_epochs

    @property
    def max_iters(self) -> int:
        """Iterations of the training."""
        return self._max_iters

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return self._epoch

    @property
    def iter(self) -> int:
        """Iterations that are done."""
        return self._iter

    def state_dict(self) -> dict[str, Any]:
        """Place in the data after the batches that have been trained on, for :meth:`load_state_dict`."""
        return dict(
            epoch=self._data_epoch,
            batches=self._taken,
            batch_size=_batch_size(self.dataloader),
            world_size=self.runner.world_size,
            samples=len(self.dataloader.dataset),
            draws_each_epoch=self._draws_each_epoch,
            validated=self._validated,
            epoch_batches=len(self.dataloader),
            order=self._order(),
        )

    def _order(self) -> dict[str, Any]:
        if self._order_of_samples is None:
            self._order_of_samples = describe_order(self.dataloader, self.runner.seed)
        return self._order_of_samples

    def check_state_dict(self, state: dict[str, Any], epoch: int) -> None:
        """Refuse a place from which this loop cannot go on; nothing is changed.

        Between epochs all may be another: data, samplers, batches. Within one the order of the samples has to be the
        same; batches of another size, and another number of ranks, only need a sampler that can divide the rest.

        Args:
            state: As :meth:`state_dict`, checked for its types; empty for a checkpoint of mmengine's own loops.
            epoch: Epochs that are done.

        Raises:
            SettingsMismatchError: What differs.
        """
        if not state:
            return
        place = Place(*(state[name] for name in Place._fields))
        if not place.batches or self._follows(place, epoch) or _is_end(state):
            return
        if state['samples'] != len(self.dataloader.dataset):
            raise SettingsMismatchError(
                f'the checkpoint stands within an epoch of {state["samples"]} samples, and train_dataloader has '
                f'{len(self.dataloader.dataset)}: go on with the same data, or from the end of an epoch'
            )
        # Before there was this entry nobody knew.
        difference = first_difference(state['order'], self._order()) if 'order' in state else None
        if difference is not None:
            raise SettingsMismatchError(
                f'the checkpoint stands within an epoch, the rest of which would come in another order: {difference}; '
                'go on with the same data and samplers, or from the end of an epoch'
            )
        batch_size = _batch_size(self.dataloader)
        same = (place.batch_size, place.world_size) == (batch_size, self.runner.world_size)
        if not same and self._resumable_sampler() is None:
            raise SettingsMismatchError(
                f'the checkpoint stands within an epoch of {place.world_size} ranks with {place.batch_size} samples '
                f'each, which a {type(self.dataloader.sampler).__name__} cannot divide otherwise: go on with as many, '
                'or use an EpochSampler'
            )

    def load_state_dict(self, state: dict[str, Any], epoch: int, iteration: int, random_state: dict | None) -> None:
        """Go on from a place.

        Args:
            state: As :meth:`state_dict`; empty for a checkpoint of mmengine's own loops, whose place follows from
                the number of iterations.
            epoch: Epochs that are done.
            iteration: Iterations that are done.
            random_state: Of this rank, see :mod:`soho.engine.random_state`.

        The place is one that :meth:`check_state_dict` accepts.
        """
        self._epoch, self._iter = epoch, iteration
        self._random_state = random_state
        self._draws_each_epoch = state.get('draws_each_epoch', self._draws_each_epoch)
        self._validated = state.get('validated', True)
        place = self._place_of_iteration(epoch, iteration) if not state else Place(*(state[k] for k in Place._fields))
        if self._follows(place, epoch):
            place = place._replace(epoch=place.epoch + 1, batches=0)
        self._data_epoch = place.epoch
        self._drawn = place.epoch if place.batches else place.epoch - 1
        if _is_end(state):  # whatever comes next
            self._set_epoch(place.epoch)
            self._taken = len(self.dataloader) if place.batches else 0
        else:
            self._taken = self._seek(place)
        self._start = place.epoch, self._taken

    @property
    def last_place(self) -> tuple[int, int]:
        """Epoch and number of the batch that was trained on last."""
        return self._data_epoch, self._taken - 1

    def samples_of(self, epoch: int, number: int) -> list[int]:
        """Indices of the samples of a batch of this rank, found by going through the sampler again.

        Args:
            epoch: Epoch of the data.
            number: Number of the batch in it.
        """
        if not isinstance(self.dataloader, DataLoader):
            return []
        has_place = any(hasattr(one, 'resume_at') for one in (self.dataloader.batch_sampler, self.dataloader.sampler))
        first = self._start[1] if has_place and epoch == self._start[0] else 0
        return self.dataloader.samples_of(number - first, epoch)

    @abstractmethod
    def _follows(self, place: Place, epoch: int) -> bool:
        """Whether the place is the end of the epoch before the one that is to begin."""

    @abstractmethod
    def _place_of_iteration(self, epoch: int, iteration: int) -> Place:
        """The place after so many iterations of a run like this one."""

    def _place(self, epoch: int, batches: int) -> Place:
        return Place(epoch, batches, _batch_size(self.dataloader), self.runner.world_size)

    def set_seed(self, seed: int, former: int | None) -> None:
        """Let the samplers that draw from the seed of the run draw from another one: that of a run that goes on.

        Args:
            seed: The other one.
            former: The one that the run had so far; a sampler whose config names a seed of its own keeps that.
        """
        for sampler in self._samplers():
            if hasattr(sampler, 'seed') and sampler.seed == former:
                sampler.seed = seed

    def _set_epoch(self, epoch: int) -> None:
        for sampler in self._samplers():
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)

    def _samplers(self) -> tuple[Any, Any]:
        """The sampler of the samples, and the one that its batch sampler groups."""
        return self.dataloader.sampler, getattr(self.dataloader.batch_sampler, 'sampler', None)

    def _seek(self, place: Place) -> int:
        """Let the sampler begin at a place; returns the number of its next batch."""
        self._set_epoch(place.epoch)
        if not place.batches:
            return 0
        sampler = self._resumable_sampler()
        return place.batches if sampler is None else sampler.resume_at(place, _batch_size(self.dataloader))

    def _resumable_sampler(self) -> Any:
        """The sampler that can begin within an epoch; ``None`` where batches can only be counted off."""
        samplers = (self.dataloader.batch_sampler, self.dataloader.sampler)
        return next((sampler for sampler in samplers if hasattr(sampler, 'resume_at')), None)

    def _batches(self) -> Iterator[tuple[int, Any]]:
        """Numbers and batches of the current epoch from where it is, without reading those before."""
        start, loader = self._taken, self.dataloader
        if start and start >= len(loader):
            return  # it was stopped after the last one
        self._draw()
        if start and self._resumable_sampler() is None:
            loader = _skip(loader, start)
        with torch.random.fork_rng(devices=[]):
            iterator = iter(loader)
        yield from enumerate(iterator, start)

    def _describe_batch(self, _: int) -> str:
        """The batch that is waited for, which comes after those that have been trained on."""
        samples = say_samples(self.samples_of(self._data_epoch, self._taken))
        return f'batch {self._taken} of epoch {self._data_epoch + 1}{samples}'

    def _draw(self) -> None:
        """Take the number that torch's loader takes from the generator for the workers of an epoch."""
        if self._drawn is None or self._draws_each_epoch and self._drawn != self._data_epoch:
            torch.empty((), dtype=torch.int64).random_()
        self._drawn = self._data_epoch

    def _restore_random_state(self) -> None:
        if self._random_state is not None:
            set_random_state(self._random_state)
            self._random_state = None

    def run_iter(self, idx: int, data_batch: Any) -> None:
        """Train on one batch.

        Args:
            idx: Its number, as hooks get it.
            data_batch: The batch.
        """
        runner = self.runner
        runner.call_hook('before_train_iter', batch_idx=idx, data_batch=data_batch)
        outputs = runner.model.train_step(data_batch, optim_wrapper=runner.optim_wrapper)
        self._taken += 1
        self._validated = False
        runner.call_hook('after_train_iter', batch_idx=idx, data_batch=data_batch, outputs=outputs)
        self._iter += 1
        self._answer_requests()

    def _answer_requests(self) -> None:
        """Save what is due by the clock, or save and stop, on all ranks after the same step.

        Raises:
            Stopped: The run was told to stop.
            TrainingError: The last checkpoint could not be written.
        """
        runner = self.runner
        runner.writer.check()
        hook = self._checkpoint_hook()
        stopping = runner.stopping
        is_due = hook is not None and runner.rank == 0 and hook.minutes_are_over()
        if runner.world_size == 1:
            stopping.ask(Request.SAVE if is_due else Request.NONE)
        request = stopping.answer()
        if request:
            saved = None if hook is None else hook.save_now(runner)
            if request is Request.STOP:
                self._stop(saved)
        if runner.world_size > 1:  # the answer comes after the next step
            stopping.ask(Request.SAVE if is_due and not request else Request.NONE)

    def _stop(self, saved: str | None) -> None:
        """End the run after what has been saved under a path, or nowhere.

        Raises:
            Stopped: Always.
        """
        runner = self.runner
        runner.writer.wait()
        wait_for_all_ranks()  # a launcher ends the others once the first has ended
        name = runner.stopping.received or 'a signal to another rank'
        where = 'nothing is saved, since there is no CheckpointHook' if saved is None else f'saved as {saved}'
        message = f'stopped by {name} after iteration {self._iter}: {where}; --resume goes on'
        runner.logger.warning(message)
        raise Stopped(message)

    def _validate_if_due(self, count: int, last: int) -> None:
        """Validate after ``count`` of ``last`` epochs or iterations, unless it has been done.

        Raises:
            Stopped: The run was told to stop, and has saved what it was before; the validation is to be repeated.
        """
        self.val_interval = self.dynamic_intervals[bisect.bisect(self.dynamic_milestones, count + 1) - 1]
        due = count >= self.val_begin and (count % self.val_interval == 0 or count == last)
        if self.runner.val_loop is not None and due and not self._validated:
            self._validated = True  # as a checkpoint of what is best shall say
            before = get_random_state()
            try:
                with self.runner.stopping.evaluation(len(self.runner.val_loop.dataloader)):
                    self.runner.val_loop.run()
            except Interrupted:
                self._undo_validation(before)
                hook = self._checkpoint_hook()
                self._stop(None if hook is None else hook.save_now(self.runner))

    def _undo_validation(self, random_state: dict[str, Any]) -> None:
        """Put back what a validation changes before its first batch, and what its batches may change."""
        self._validated = False
        for hook in self.runner.hooks:
            # What a hook does before a validation, such as putting averaged weights in place, it takes back after it.
            overridden = (getattr(type(hook), name) is not getattr(Hook, name) for name in AROUND_VALIDATION)
            if all(overridden):
                hook.after_val_epoch(self.runner, metrics=None)
        set_random_state(random_state)

    def _checkpoint_hook(self) -> CheckpointHook | None:
        return next((hook for hook in self.runner.hooks if isinstance(hook, CheckpointHook)), None)


@LOOPS.register_module(force=True)
class EpochBasedTrainLoop(TrainLoop):
    """A training of ``max_epochs`` epochs.

    Args:
        runner: The runner.
        dataloader: The training data.
        max_epochs: Epochs.
        **kwargs: See :class:`TrainLoop`.
    """

    def __init__(self, runner, dataloader: DataLoader | dict, max_epochs: int, **kwargs) -> None:
        super().__init__(runner, dataloader, **kwargs)
        self._max_epochs = _check_count(max_epochs, 'max_epochs')
        self._max_iters = self._max_epochs * len(self.dataloader)

    def run(self) -> nn.Module:
        """Train to the end, validating in between."""
        self.runner.call_hook('before_train')
        if not self._taken:
            self._restore_random_state()
        while True:
            if not self._taken:
                self._validate_if_due(self._epoch, self._max_epochs)
            if self._epoch >= self._max_epochs or self.stop_training:
                break
            self.run_epoch()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """Train on the rest of an epoch."""
        self._set_epoch(self._data_epoch)
        self.runner.call_hook('before_train_epoch')
        self._restore_random_state()
        self.runner.model.train()
        for idx, data_batch in self._batches():
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
        self._data_epoch, self._taken = self._epoch, 0

    def load_state_dict(self, state: dict[str, Any], epoch: int, iteration: int, random_state: dict | None) -> None:
        super().load_state_dict(state, epoch, iteration, random_state)
        now = _batch_size(self.dataloader) * self.runner.world_size
        if self._taken and state and state['batch_size'] * state['world_size'] != now:
            # With another number of ranks the rest of the epoch has another number of iterations.
            rest = len(self.dataloader) - self._taken
            self._set_epoch(epoch + 1)
            self._max_iters = iteration + rest + (self._max_epochs - epoch - 1) * len(self.dataloader)
            self._set_epoch(epoch)

    def check_state_dict(self, state: dict[str, Any], epoch: int) -> None:
        if state and epoch - state['epoch'] not in (0, 1):
            raise SettingsMismatchError(
                f'the checkpoint stands in epoch {state["epoch"] + 1} of the data, and meta.epoch says that {epoch} '
                'are done: it is of a loop that counts iterations; go on with an IterBasedTrainLoop'
            )
        super().check_state_dict(state, epoch)

    def _follows(self, place: Place, epoch: int) -> bool:
        return place.epoch < epoch

    def _place_of_iteration(self, epoch: int, iteration: int) -> Place:
        taken = iteration - epoch * len(self.dataloader)
        return self._place(epoch, taken if 0 < taken < len(self.dataloader) else 0)


@LOOPS.register_module(force=True)
class IterBasedTrainLoop(TrainLoop):
    """A training of ``max_iters`` iterations, which goes through the data again and again.

    For hooks it is one long epoch.

    Args:
        runner: The runner.
        dataloader: The training data.
        max_iters: Iterations.
        val_interval: Iterations between validations.
        **kwargs: See :class:`TrainLoop`.
    """

    def __init__(
        self, runner, dataloader: DataLoader | dict, max_iters: int, val_interval: int = 1000, **kwargs
    ) -> None:
        super().__init__(runner, dataloader, val_interval=val_interval, **kwargs)
        self._max_iters = _check_count(max_iters, 'max_iters')
        # As mmengine's loop, which opens the data before the weights are drawn: a seed keeps its weights.
        self._draw()

    def run(self) -> nn.Module:
        """Train to the end, validating in between."""
        runner = self.runner
        runner.call_hook('before_train')
        runner.call_hook('before_train_epoch')
        self._restore_random_state()
        self._set_epoch(self._data_epoch)
        batches = self._endless_batches()
        while True:
            if self._iter:
                self._validate_if_due(self._iter, self._max_iters)
            if self._iter >= self._max_iters or self.stop_training:
                break
            runner.model.train()
            self.run_iter(self._iter, next(batches))
        runner.call_hook('after_train_epoch')
        runner.call_hook('after_train')
        return runner.model

    def _endless_batches(self) -> Iterator[Any]:
        while True:
            for _, batch in self._batches():
                yield batch
            self._data_epoch, self._taken = self._data_epoch + 1, 0
            self._set_epoch(self._data_epoch)

    def _follows(self, place: Place, epoch: int) -> bool:
        return False

    def _place_of_iteration(self, epoch: int, iteration: int) -> Place:
        epoch = 0
        while True:
            self._set_epoch(epoch)
            if iteration < len(self.dataloader):
                return self._place(epoch, iteration)
            iteration -= len(self.dataloader)
            epoch += 1


def _is_end(state: dict[str, Any]) -> bool:
    """Whether a place is after the last batch of an epoch."""
    return state.get('epoch_batches', state.get('batches', 0) + 1) <= state.get('batches', 0)


def _batch_size(loader: DataLoader) -> int:
    return getattr(loader.batch_sampler, 'batch_size', None) or loader.batch_size or 1


def _skip(loader: DataLoader, start: int) -> DataLoader:
    """A copy of a loader for the rest of an epoch whose sampler can only be counted off."""
    rest = copy.copy(loader)
    # torch refuses to exchange a sampler by assignment, since an iterator may be at work on the old one.
    vars(rest).update(batch_sampler=_Rest(loader.batch_sampler, start), _iterator=None)
    return rest


class _Rest:
    """Batches of a sampler from a number on."""

    def __init__(self, batch_sampler: Any, start: int) -> None:
        self.batch_sampler, self.start = batch_sampler, start

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self.batch_sampler), self.start, None)

    def __len__(self) -> int:
        return len(self.batch_sampler) - self.start


def _check_count(value: Any, name: str) -> int:
    if not (isinstance(value, (int, float)) and is_count(int(value)) and value == int(value)):
        raise UserError(f'{name} of train_cfg is {value!r}; it is a whole number, 0 or more')
    return int(value)
