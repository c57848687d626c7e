"""What the guards of a training step cost, and how long a checkpoint holds the step up."""

import os
import statistics
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

from mmengine.logging import MessageHub
from torch import nn

from soho.engine.checkpoint.background import BackgroundWriter
from soho.engine.hooks.finite_loss import FiniteLossHook
from soho.engine.stopping import Request, Stopping
from tools.benchmark.bench import WARM_UP, Bench, Rows
from tools.benchmark.training import Step, title

TURNS = 10  # for each of ``--repeat``
INTERVAL = 50  # steps between two looks of the hook that guards the loss


class _Guards:
    """Everything in a step that only looks whether it is sound, and whether the run is to stop.

    Args:
        step: A training step of this project.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.hook, self.stopping = FiniteLossHook(interval=INTERVAL), Stopping()
        self.runner: Any = SimpleNamespace(
            model=step.model,
            optim_wrapper=step.wrapper,
            message_hub=MessageHub('guards'),
            train_loop=None,
            iter=0,
            max_iters=10**9,
        )
        self.hook.before_train(self.runner)

    def before(self) -> None:
        """Run what comes before the step."""
        self.hook.before_train_iter(self.runner, self.runner.iter)

    def update(self) -> None:
        """Update with guards, as a run does."""
        wrapper = self.step.wrapper
        wrapper._bad_loss = self.step.loss.detach().isfinite().all().logical_not()
        wrapper.step()
        wrapper.zero_grad()

    def after(self) -> None:
        """Run what comes after the step."""
        self.hook.after_train_iter(self.runner, self.runner.iter, outputs=dict(loss=self.step.loss))
        self.stopping.ask(Request.NONE)
        self.stopping.answer()
        self.runner.iter += 1


def _update_without(step: Step) -> None:
    """Clip and update as mmengine does, without looking at loss or norm."""
    wrapper = step.wrapper
    if wrapper.clip_grad_kwargs:
        wrapper._clip_grad()
    wrapper.optimizer.step()
    wrapper.zero_grad()


def guards(bench: Bench) -> Rows:
    """Measure the pretraining step with and without guards, in turns, and the saving of its state.

    On a CPU times are those of this process, so that other programs of a busy machine do not count.
    """
    step = Step(bench, 'pretrain')
    if bench.args.dtype == 'float16':
        raise ValueError('guards are measured in float32 or bfloat16: with a loss scale the scaler skips as well')
    watched = _Guards(step)
    step()  # the optimizer's state, which an update without guards would begin otherwise

    def seconds(*calls: Callable[[], Any]) -> float:
        return sum(bench.round(calls, bench.work_now))

    wholes, added = [], []
    for turn in range(TURNS * bench.args.repeat + WARM_UP):
        spent = {}
        # Both do the same up to the update, so that the difference is not lost in what the rest varies by.
        for guarded in (True, False) if turn % 2 else (False, True):
            rest = seconds(step.gradients)
            spent[guarded] = (
                seconds(watched.before, watched.update, watched.after)
                if guarded
                else seconds(lambda: _update_without(step))
            )
        wholes.append(rest + spent[False])
        added.append(spent[True] - spent[False])
    wholes, added = wholes[WARM_UP:], added[WARM_UP:]
    whole = statistics.median(wholes)
    low, middle, high = statistics.quantiles(added, n=4)
    name = f'guards, {title(bench, "pretrain")}'
    return [
        (f'{name}: a step without', 1000 * whole, 'ms'),
        (f'{name}: what guards add', 1000 * middle, 'ms'),
        (f'{name}: of the step', 100 * middle / whole, '%'),
        (f'{name}: of the step, lower quartile', 100 * low / whole, '%'),
        (f'{name}: of the step, upper quartile', 100 * high / whole, '%'),
        *_saving(bench, step),
    ]


def _saving(bench: Bench, step: Step) -> Rows:
    """Measure for how long a checkpoint of the step's model and optimizer holds the training up, by the clock."""
    held: dict[str, list[float]] = dict(foreground=[], background=[])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'a.pth')
        for _ in range(max(2, bench.args.repeat)):
            for kind, times in held.items():
                writer = BackgroundWriter()
                with writer if kind == 'background' else nullcontext():
                    started = bench._now()
                    writer.write(_state(step.model, step.wrapper), path)
                    times.append(bench._now() - started)
        size = os.path.getsize(path)
    name = 'a checkpoint of the pretraining'
    return [
        (f'{name}: size', size / 2**30, 'GiB'),
        *((f'{name}: holds up the step, in the {kind}', statistics.median(t), 's') for kind, t in held.items()),
    ]


def _state(model: nn.Module, wrapper: Any) -> dict[str, Any]:
    return dict(state_dict=model.state_dict(), optimizer=wrapper.state_dict())
