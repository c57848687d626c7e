"""The visual dictionary alone: look-up, update and gradient over steps, on one rank and on several."""

import os
import sys
import tempfile

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from soho.models.necks.visual_dictionary import VisualDictionary
from tests.parity.fill import fill
from tests.parity.fixture import Fixture
from tests.parity.soho_forward import squared_distances

LIMIT = 1e-4
BUFFERS = ('embed', 'cluster_size', 'cluster_sum', 'embed_avg')


def check_dictionary(fixture: Fixture) -> None:
    """``dictionary_update``: each case is a dictionary, its inputs and what becomes of both."""
    for case in dict.fromkeys(name.rsplit('/', 1)[0] + '/' for name in fixture.values):
        if fixture[case + 'inputs'].ndim == 4:
            _check_ranks(fixture, case)
        else:
            _check_one(fixture, case)


def _build(fixture: Fixture, case: str) -> VisualDictionary:
    """The case's dictionary with the official treatment of unused words, in train mode."""
    num_words, dim = int(fixture[case + 'num_tokens']), int(fixture[case + 'token_dim'])
    options = dict(eps=float(fixture[case + 'eps'])) if case + 'eps' in fixture else {}
    vq = VisualDictionary(num_words, dim, decay=float(fixture[case + 'decay']), unused_words='zero', **options)
    fixture.check(case + 'curr_decay', vq.decay)
    fixture.remark(case + 'max_decay')  # the official code never calls what would use it
    seed, cold = int(fixture[case + 'fill_seed']), bool(fixture.get(case + 'cold_start', 0))
    for name, buffer in vq.named_buffers():
        if name == 'embed' or not cold:
            buffer.copy_(torch.from_numpy(fill(name, buffer.shape, seed)))
        fixture.check(f'{case}init_{name}', buffer)
    return vq.train()


def _check_one(fixture: Fixture, case: str) -> None:
    vq = _build(fixture, case)
    inputs, weight = fixture.tensor(case + 'inputs'), fixture.tensor(case + 'weight')
    for i, features in enumerate(inputs):
        step = f'{case}step{i}_'
        nearest = squared_distances(features, vq.embed).topk(2, largest=False).values
        fixture.check(step + 'margin', nearest[:, 1] - nearest[:, 0], LIMIT)
        features = features.clone().requires_grad_()
        quantized, indices = vq(features)
        scalar = (quantized.square() * weight).sum() + (quantized * weight).sum()
        scalar.backward()
        fixture.check(step + 'indices', indices)
        fixture.check(step + 'quantized', quantized, LIMIT)
        fixture.check(step + 'scalar', scalar, LIMIT, 1e-5)
        fixture.check(step + 'input_grad', features.grad, LIMIT)
        fixture.check_all({name: getattr(vq, name) for name in BUFFERS}, LIMIT, 1e-6, prefix=step)
    quantized, indices = vq.eval()(inputs[0])
    fixture.check(case + 'eval_indices', indices)
    fixture.check(case + 'eval_quantized', quantized, LIMIT)


def _check_ranks(fixture: Fixture, case: str) -> None:
    """The same with each rank's inputs in a process of its own."""
    vq, inputs = _build(fixture, case), fixture.tensor(case + 'inputs')
    with tempfile.TemporaryDirectory() as folder:
        # A fork need not import everything anew; its one thread does not meet the parent's.
        torch.multiprocessing.start_processes(
            _rank,
            args=(len(inputs), folder, vq, inputs),
            nprocs=len(inputs),
            start_method='fork' if sys.platform == 'linux' else 'spawn',
        )
        results = [torch.load(os.path.join(folder, f'{r}.pt'), weights_only=True) for r in range(len(inputs))]
    for i in range(inputs.size(1)):
        step = f'{case}step{i}_'
        for r, steps in enumerate(results):
            fixture.check(f'{step}rank{r}_indices', steps[i]['indices'])
            fixture.check(f'{step}rank{r}_quantized', steps[i]['quantized'], LIMIT)
        for name in BUFFERS:
            ours = [steps[i][name].numpy() for steps in results]
            same = all(np.array_equal(ours[0], other) for other in ours)
            fixture.check(
                step + name,
                ours[0] if same else np.full_like(ours[0], np.nan),
                LIMIT,
                1e-6,
                note='' if same else 'differs between ranks',
            )


def _rank(rank: int, world_size: int, folder: str, vq: VisualDictionary, inputs: Tensor) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=world_size)
    steps: list[dict[str, Tensor]] = []
    for features in inputs[rank]:
        quantized, indices = vq(features)
        steps.append(dict(indices=indices, quantized=quantized, **{n: b.clone() for n, b in vq.named_buffers()}))
    torch.save(steps, os.path.join(folder, f'{rank}.pt'))
    dist.destroy_process_group()
