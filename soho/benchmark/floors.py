"""What the machine can do."""
import torch

from soho.benchmark.bench import Bench, Rows


def floors(bench: Bench) -> Rows:
    """A matrix product and a copy, as large as keeps the device busy."""
    side = 8192 if bench.device.type == 'cuda' else 2048
    a, b = (torch.randn(side, side, device=bench.device, dtype=bench.dtype) for _ in range(2))
    bench.matrix_rate = 2 * side**3 / bench.seconds(lambda: a @ b)
    source = torch.empty(2**28 if bench.device.type == 'cuda' else 2**26, device=bench.device)
    target = torch.empty_like(source)
    rate = 2 * source.nbytes / bench.seconds(lambda: target.copy_(source))
    return [(f'matrix product {side}', bench.matrix_rate / 1e12, 'TFLOP/s'), ('copy', rate / 1e9, 'GB/s')]
