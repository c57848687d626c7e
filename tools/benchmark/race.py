"""Measurement of candidates in turns, each in its own process, so that disturbances affect all alike."""

import multiprocessing
import statistics
from argparse import Namespace
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from tools.benchmark.bench import WARM_UP, Bench, Rows

Calls = dict[str, Callable[[], Any]]


class Candidate(NamedTuple):
    """Code that is measured in a process.

    Args:
        build: Function called there as ``build(bench, *args)``; returns the consecutive calls of a round by name.
        args: Other arguments of ``build``.
        tuned: Whether to use the settings of a run of this project, or torch's defaults.
        dtype: Autocast dtype, if it is not the command line's.
    """

    build: Callable[..., Calls]
    args: tuple = ()
    tuned: bool = True
    dtype: str | None = None


class Result(NamedTuple):
    """Result of a candidate."""

    seconds: dict[str, float]
    """Median seconds of each call; ``whole`` is the median of their sum."""
    peak: float
    """Peak memory in GiB, of the GPU, or of the process beyond its initial memory."""
    dtype: str
    """Dtype of the measurement."""


def race(args: Namespace, candidates: Mapping[str, Candidate]) -> dict[str, Result]:
    """Run the candidates in turns, round by round, and return their results.

    Raises:
        RuntimeError: A candidate failed; the message is that of its error.
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
        pass  # the measurement was aborted
    except Exception as error:
        pipe.send(RuntimeError(f'{type(error).__name__}: {error}'))


def published(
    args: Namespace, name: str, build: Callable[..., Calls], *more: Any, dtype: str | None = None
) -> dict[str, Candidate]:
    """Return the candidates for other code, ``build(bench, *more)``: with torch's defaults and with our settings.

    On a GPU the only setting is cuDNN's benchmark mode, which the official VirTex also uses and
    which favours the other code, so there is one candidate with it.
    """
    if args.device == 'cuda':
        return {name: Candidate(build, more, dtype=dtype)}
    return {
        name: Candidate(build, more, False, dtype),
        f'{name}, with the same settings': Candidate(build, more, dtype=dtype),
    }


def published_dtype(args: Namespace, half: bool) -> str:
    """Return the dtype of an official release: float16 if it trains in half precision and on a GPU, else float32."""
    return 'float16' if half and args.device == 'cuda' else 'float32'


def rows_of(what: str, results: Mapping[str, Result], memory: bool = True) -> Rows:
    """Return metrics: milliseconds of each candidate, speed-ups of the first over the others, and peak memory."""
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
