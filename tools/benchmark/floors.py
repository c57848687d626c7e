"""Limits of the machine: rates of a matrix product and of a copy."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from tools.benchmark.bench import Bench, Rows


def matrix_rate(bench: Bench) -> float:
    """Return the FLOP/s of a large matrix product."""
    side = 8192 if bench.device.type == 'cuda' else 2048
    a, b = (torch.randn(side, side, device=bench.device, dtype=bench.dtype) for _ in range(2))
    return 2 * side**3 / bench.seconds(lambda: a @ b)


def copy_rate(bench: Bench) -> float:
    """Return the bytes per second, read and written, of a copy larger than any cache."""
    source = torch.empty(2**28 if bench.device.type == 'cuda' else 2**26, device=bench.device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / bench.seconds(lambda: target.copy_(source))


def utilization(name: str, call: Callable[[], Any], seconds: float, rate: float) -> Rows:
    """Return the FLOPs of a call that takes ``seconds``, and its utilisation of a rate in FLOP/s."""
    # Compiled code is counted in its eager form.
    with torch.compiler.set_stance('force_eager'), FlopCounterMode(display=False) as counter:
        call()
    flops = counter.get_total_flops()
    return [
        (f'{name}: products and convolutions', flops / 1e12, 'TFLOP'),
        (f'{name}: of the rate of a matrix product', 100 * flops / seconds / rate, '%'),
    ]


def floors(bench: Bench) -> Rows:
    """Measure a matrix product, on a CPU with each library, and a copy."""
    rows = [('floors: matrix product', matrix_rate(bench) / 1e12, 'TFLOP/s')]
    if bench.device.type == 'cpu':
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision('highest')
        rows.append(('floors: matrix product by MKL', matrix_rate(bench) / 1e12, 'TFLOP/s'))
        torch.set_float32_matmul_precision(precision)
    return [*rows, ('floors: copy, bytes read and written', copy_rate(bench) / 1e9, 'GB/s')]
