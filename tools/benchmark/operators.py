"""Shares of kinds of operators in the time of a step."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch.profiler import ProfilerActivity, profile

from tools.benchmark.bench import Bench, Rows
from tools.benchmark.inference import Prediction
from tools.benchmark.training import Step, title

# The first kind of which a fragment is found in an operator's name.
KINDS = dict(
    optimizer=('adam', 'sgd', 'foreach', 'multi_tensor', 'lerp'),
    attention=('flash', 'fmha', 'sdpa', 'attention'),
    norms=('norm', 'bn_', 'gammabeta'),
    convolutions=('conv', 'implicit', 'fprop', 'dgrad', 'wgrad', 'cudnn'),  # cuDNN's are also called gemm
    products=('gemm', 'gemv', 'nvjet', '::mm', 'addmm', 'bmm', 'linear'),
    dropout=('bernoulli', 'dropout'),
    copies=('copy', 'cat', 'fill', 'zero', 'index', 'memcpy', 'memset'),
    elementwise=('add', 'mul', 'div', 'relu', 'gelu', 'clamp', 'softmax', 'threshold', 'sub', 'elementwise'),
)


def operators(bench: Bench) -> Rows:
    """Measure the shares of kinds of operators in training steps, VQA inference and captioning."""
    rows: Rows = []
    for kind in ('pretrain', 'vqa', 'virtex'):
        rows += shares(bench, title(bench, kind), Step(bench, kind))
    rows += shares(bench, 'vqa inference, one image', Prediction(bench, 'vqa', 1))
    return rows + shares(bench, 'captions of 8 images, beam 5', Prediction(bench, 'virtex', 8))


def shares(bench: Bench, name: str, call: Callable[[], Any]) -> Rows:
    """Return the share of time of each kind of operator, in percent."""
    for _ in range(2):
        call()
    cuda = bench.device.type == 'cuda'
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as record:
        call()
        bench.sync()
    spent: Counter[str] = Counter()
    for event in record.key_averages():
        time = event.self_device_time_total if cuda else event.self_cpu_time_total
        spent[kind_of(event.key)] += time
    total = sum(spent.values())
    return [
        (f'{name}, where the time goes: {kind}', 100 * time / total, '%') for kind, time in spent.most_common() if time
    ]


def kind_of(operator: str) -> str:
    """Return the kind of an operator of torch or of a GPU kernel."""
    operator = operator.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in operator for part in parts)), 'other')
