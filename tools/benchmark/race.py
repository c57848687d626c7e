"""Contestants take turns, each in a process of its own: what disturbs one disturbs all, and nothing else is shared."""

import multiprocessing
import statistics
from argparse import Namespace
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tools.benchmark.bench import WARM_UP, Bench, Rows

Calls = dict[str, Callable[[], Any]]


class Candidate(NamedTuple):
    """What runs in a process.

    Args:
        build: Called there as ``build(bench, *args)``; returns the calls that follow each other in a round, by name.
        args: Its other arguments.
        tuned: With the settings that a run of this project has; otherwise as torch comes.
        dtype: Number type of its autocast, where it is not the command line's.
    """

    build: Callable[..., Calls]
    args: tuple = ()
    tuned: bool = True
    dtype: str | None = None


class Result(NamedTuple):
    """Of one candidate."""

    seconds: dict[str, float]
    """Median of each call; ``whole`` is that of all together."""
    peak: float
    """GiB, of the GPU or above what the process held at first."""
    dtype: str
    """Number type in which it ran."""


def race(args: Namespace, candidates: Mapping[str, Candidate]) -> dict[str, Result]:
    """Let them run round by round, one after the other.

    Raises:
        RuntimeError: One fails; the message is its own.
    """
    context = multiprocessing.get_context('spawn')
    pipes: dict[str, Connection] = {}
    processes = []
    try:
        for name, candidate in candidates.items():
            pipes[name], theirs = context.Pipe()
            processes.append(context.Process(target=_serve, args=(theirs, args, candidate)))
            processes[-1].start()
            theirs.close()
            _answer(name, pipes[name])  # it is ready
        rounds: dict[str, list[list[float]]] = {name: [] for name in candidates}
        for _ in range(args.repeat + WARM_UP):
            for name, pipe in pipes.items():
                pipe.send('run')
                rounds[name].append(_answer(name, pipe))
        results = {}
        for name, pipe in pipes.items():
            pipe.send('end')
            names, peak = _answer(name, pipe)
            counted = rounds[name][WARM_UP:]
            seconds = dict(zip(names, (statistics.median(column) for column in zip(*counted))))
            whole = statistics.median(map(sum, counted))
            results[name] = Result(dict(seconds, whole=whole), peak, candidates[name].dtype or args.dtype)
        return results
    finally:
        for pipe in pipes.values():
            pipe.close()
        for process in processes:
            process.join()


def _answer(name: str, pipe: Connection) -> Any:
    try:
        answer = pipe.recv()
    except EOFError:
        raise RuntimeError(f'{name} ended without an answer; what it printed says why') from None
    if isinstance(answer, Exception):
        raise RuntimeError(f'{name} failed: {answer}') from answer
    return answer


def _serve(pipe: Connection, args: Namespace, candidate: Candidate) -> None:
    try:
        bench = Bench(Namespace(**dict(vars(args), dtype=candidate.dtype or args.dtype)), candidate.tuned)
        calls = candidate.build(bench, *candidate.args)
        pipe.send(None)
        while pipe.recv() == 'run':
            pipe.send(bench.round(list(calls.values())))
        pipe.send((list(calls), bench.memory.peak()))
    except EOFError:
        pass  # the race is off
    except Exception as error:
        pipe.send(RuntimeError(f'{type(error).__name__}: {error}'))


def published(
    args: Namespace, name: str, build: Callable[..., Calls], *more: Any, dtype: str | None = None
) -> dict[str, Candidate]:
    """Another's code, ``build(bench, *more)``: on a CPU as torch runs it by default, and with our settings as well.

    On a GPU there is but one setting, which the official VirTex has too, and
    which is to the advantage of the others: so one candidate, which has it.
    """
    if args.device == 'cuda':
        return {name: Candidate(build, more, dtype=dtype)}
    return {
        name: Candidate(build, more, False, dtype),
        f'{name}, with the same settings': Candidate(build, more, dtype=dtype),
    }


def published_dtype(args: Namespace, half: bool) -> str:
    """Number type of an official release, ``half`` says whether it trains so: float16 on a GPU, never on a CPU."""
    return 'float16' if half and args.device == 'cuda' else 'float32'


def rows_of(what: str, results: Mapping[str, Result], memory: bool = True) -> Rows:
    """Milliseconds of each candidate, how many times faster the first is than the others, and their peaks."""
    rows: Rows = []
    results = {f'{name}, {result.dtype}': result for name, result in results.items()}
    ours, *others = results
    parts = results[ours].seconds
    for part in parts if len(parts) > 2 else ('whole',):
        label = f'{what}, {part}' if len(parts) > 2 else what
        rows += [(f'{label}: {name}', 1000 * result.seconds[part], 'ms') for name, result in results.items()]
        rows += [
            (f'{label}: faster than {name}', results[name].seconds[part] / parts[part], 'times') for name in others
        ]
    if memory:
        rows += [(f'{what}, peak memory: {name}', result.peak, 'GiB') for name, result in results.items()]
    return rows
