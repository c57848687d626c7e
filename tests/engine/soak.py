"""Kill a training again and again, at any moment, and compare what it comes to with one that nobody touched.

    python -m tests.engine.soak --kills 100 --out soak.log          (or: make soak)

Every attempt is a process of its own that ends by SIGKILL, SIGTERM, SIGUSR1 or SIGINT, or by itself. ``--seed`` draws
the iteration in which it is killed and the moment within; one in ten is killed before its first iteration, and one in
five while it writes a checkpoint, of which a part is on the disk then. The run has dropout, float16 with a loss scale,
accumulation, Lookahead, averaged weights, a validation and a best checkpoint, and saves after every iteration.
"""

import argparse
import itertools
import mmap
import os
import random
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import mmengine.runner.runner
import torch
from mmengine.config import Config

from soho.engine import Runner
from soho.engine.checkpoint import save
from soho.engine.checkpoint.read import read_checkpoint
from soho.errors import Stopped, exit_on_user_error
from tests.engine.small_runs import Record, train

INTERRUPTED = 130
OPTIONS = dict(
    iters=41,
    val=True,
    **{
        'train_cfg.val_interval': 7,
        'optim_wrapper': dict(
            type='AmpOptimWrapper',
            dtype='float16',
            loss_scale=dict(init_scale=2.0**20, growth_interval=5),
            accumulative_counts=2,
            optimizer=dict(type='Lookahead', optimizer='SGD', k=3, lr=0.02, momentum=0.9, fused=True),
            clip_grad=dict(max_norm=5.0),
        ),
    },
)
SIGNALS = [signal.SIGKILL] * 5 + [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]
FARTHEST = 9  # iterations of an attempt before it is killed
TIMES = ('train/time', 'train/data_time', 'val/time', 'val/data_time')


def saved_state(folder: str | os.PathLike) -> dict:
    """All that the newest checkpoint of a run holds, apart from times and names."""
    path = max(Path(folder).glob('iter_*.pth'), key=lambda path: int(path.stem.split('_')[1]))
    state = read_checkpoint(str(path))
    hub = state['message_hub']
    kept = {key: hub['runtime_info'].get(key) for key in ('best_score', 'best_ckpt', 'iter', 'epoch')}
    state['message_hub'] = {key: value for key, value in hub['log_scalars'].items() if key not in TIMES} | kept
    state['meta'] = {key: state['meta'][key] for key in ('epoch', 'iter', 'seed')}
    return state


def differences(one, other, where: str = '') -> list[str]:
    """Places in which two states are not equal to the bit."""
    if type(one) is not type(other):
        return [where]
    if isinstance(one, dict):
        found = [f'{where}.{key}' for key in one.keys() ^ other.keys()]
        return found + [
            place for key in one.keys() & other.keys() for place in differences(one[key], other[key], f'{where}.{key}')
        ]
    if isinstance(one, (list, tuple)):
        found = [where] if len(one) != len(other) else []
        return found + [place for i, pair in enumerate(zip(one, other)) for place in differences(*pair, f'{where}.{i}')]
    if isinstance(one, torch.Tensor):  # norms of gradients that have overflown are no numbers
        same = one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())
    else:
        same = one == other
    return [] if same else [where]


def _write_to(path: Path) -> None:
    """Send what this process says to a file."""
    sys.stdout = sys.stderr = open(path, 'a', buffering=1)
    os.dup2(sys.stdout.fileno(), 1), os.dup2(sys.stdout.fileno(), 2)


class Kill(NamedTuple):
    """When an attempt gets a signal."""

    number: int
    """The signal."""
    iteration: int
    """Iterations that it has begun; 0 for its start."""
    delay: float
    """Seconds after the beginning of that iteration, or of the process."""
    save: int = 0
    """Which of its saves does not come to an end, so that the signal hits it; 0 for none."""


class _Held:
    """A file that takes so many bytes, and then holds up whoever writes, until the process is killed."""

    def __init__(self, file: Any, room: int, told: mmap.mmap) -> None:
        self.file, self.room, self.told = file, room, told

    def write(self, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            self.file.flush()
            struct.pack_into('q', self.told, 8, 1)
            time.sleep(3600)
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def _hold_save(number: int, told: mmap.mmap) -> None:
    """Let the save of this number end within its file, and tell so in the second eight bytes of shared memory."""
    saves = itertools.count(1)
    write = save.atomic_write

    @contextmanager
    def hold(path: Any) -> Generator[Any, None, None]:
        with write(path) as file:
            yield _Held(file, 5000, told) if next(saves) == number else file

    save.atomic_write = hold


def attempt(folder: Path, options: dict, kill: Kill | None = None) -> int:
    """Go on with a training in a process of its own, which may get a signal; returns its exit code."""
    progress = mmap.mmap(-1, 16)  # shared
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            _write_to(folder / 'attempts.log')
            torch.set_num_threads(1)  # threads of the parent do not come along
            Record.progress = progress
            if kill is not None and kill.save:
                _hold_save(kill.save, progress)
            train(folder / 'run', **options)
            code = 0
        except Stopped:
            code = 75
        except KeyboardInterrupt:  # before the run listens to signals
            code = INTERRUPTED
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    while kill is not None and not _is_there(progress, kill):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(1e-4)
    if kill is not None:
        time.sleep(kill.delay)
        os.kill(pid, kill.number)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _is_there(progress: mmap.mmap, kill: Kill) -> bool:
    begun, held = struct.unpack_from('qq', progress)
    return bool(held) if kill.save else begun >= kill.iteration


def attempt_ranks(
    folder: Path,
    ranks: int,
    configure: Callable[[int], Config],
    seconds: float = 300,
    act: Callable[[Runner], Any] = Runner.train,
) -> list[int]:
    """Train in processes that talk through gloo; returns their exit codes.

    Args:
        folder: Where their output goes.
        ranks: How many.
        configure: Config of a rank.
        seconds: After which all are killed; once a rank fails, the others are, as torchrun does. When one was killed
            the others have time to say so.
        act: What each does with its runner.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    pids = []
    for rank in range(ranks):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _write_to(folder / f'rank{rank}.log')
                torch.set_num_threads(1)
                warnings.simplefilter('ignore')  # which pytest makes errors
                os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(ranks))
                os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
                with exit_on_user_error():
                    act(Runner.from_cfg(configure(rank)))
                code = 0
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else print(end.code, flush=True) or 1
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        pids.append(pid)
    codes: dict[int, int] = {}
    end = time.monotonic() + seconds
    while len(codes) < ranks:
        for pid in pids:
            if pid not in codes and (found := os.waitpid(pid, os.WNOHANG))[0]:
                codes[pid] = os.waitstatus_to_exitcode(found[1])
        if any(code < 0 for code in codes.values()):
            end = min(end, time.monotonic() + 30)
        if any(code > 0 and code != 75 for code in codes.values()) or time.monotonic() > end:
            for pid in pids:
                if pid not in codes:
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    return [codes[pid] for pid in pids]


def soak(
    folder: Path, kills: int, rng: random.Random, options: dict = OPTIONS, log: Callable[[str], None] = print
) -> list[str]:
    """Differences between a training that is killed so many times and one that is not.

    Args:
        folder: Both go below it.
        kills: How many.
        rng: Draws the moments.
        options: Of the training.
        log: Is told of each kill.
    """
    whole, broken = folder / 'whole', folder / 'broken'
    whole.mkdir(parents=True), broken.mkdir()
    started = time.monotonic()
    assert attempt(whole, options) == 0, (whole / 'attempts.log').read_text()[-3000:]
    step = (time.monotonic() - started) / options['iters']  # at most
    expected, found, compared, done, within_saves = saved_state(whole / 'run'), [], 0, 0, 0

    def compare() -> None:
        nonlocal found, compared
        found += differences(saved_state(broken / 'run'), expected)
        compared += 1
        log(f'training {compared} has come to its end, with {len(found)} differences so far')

    while done < kills:
        if rng.random() < 0.2:
            kill = Kill(signal.SIGKILL, 0, 0.0, save=rng.randint(1, FARTHEST))
        else:
            iteration = rng.randint(1, FARTHEST) if rng.random() < 0.9 else 0
            kill = Kill(rng.choice(SIGNALS), iteration, rng.uniform(0, step if iteration else 20 * step))
        code = attempt(broken, options, kill)
        assert code in (-kill.number, 0, 75, INTERRUPTED), (broken / 'attempts.log').read_text()[-3000:]
        if code:
            done += 1
            files = [path.name for path in (broken / 'run').glob('*')] if (broken / 'run').exists() else []
            half = [name for name in files if name.endswith('.tmp.pth')]
            assert half or not kill.save, 'it was killed within a save'
            within_saves += bool(half)
            reached = sorted((int(name[5:-4]) for name in files if name.startswith('iter_')), reverse=True)
            log(
                f'{done}: {signal.Signals(kill.number).name} '
                + (
                    f'in its save {kill.save}'
                    if kill.save
                    else f'{1000 * kill.delay:.1f} ms into its iteration {kill.iteration}'
                )
                + f', exit code {code}, checkpoints of {reached}{", while it wrote one" if half else ""}'
            )
        else:  # the training is over: begin the next one
            compare()
            (broken / 'run').rename(folder / f'broken{compared}')
    assert attempt(broken, options) == 0, (broken / 'attempts.log').read_text()[-3000:]
    compare()
    log(f'{done} kills, {within_saves} of them within a save, {compared} trainings, {len(found)} differences')
    return found


def keep_log(path: Path | None) -> Callable[[str], None]:
    """A function that prints a line, and writes it to a file where there is one."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    file = None if path is None else open(path, 'w', encoding='utf-8')

    def log(line: str) -> None:
        print(line, flush=True)
        if file is not None:
            print(line, file=file, flush=True)

    return log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--kills', type=int, default=100)
    parser.add_argument('--seed', type=int, default=None, help='of the moments; by default another one each time')
    parser.add_argument('--out', type=Path, help='file that keeps what is printed')
    args = parser.parse_args()
    seed = random.randrange(10**6) if args.seed is None else args.seed
    log = keep_log(args.out)
    log(f'seed {seed}')
    mmengine.runner.runner.collect_env = dict  # it asks compilers for their versions at every start
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), args.kills, random.Random(seed), log=log)
    if found:
        sys.exit(f'differences in {", ".join(found[:5])}')


if __name__ == '__main__':
    main()
