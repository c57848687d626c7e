"""A training step of the recipes at reduced size, on a CPU and on a GPU: in half precision, without waits, compiled.

On a GPU every recipe is run, on a CPU one of each kind: there test_configs.py trains all of them.
"""

import argparse
import contextlib
import copy
import shutil
from itertools import islice

import pytest
import torch
from mmengine.registry import init_default_scope
from torch._dynamo.utils import counters
from torch._subclasses import FakeTensorMode
from torch.func import functional_call

from soho.engine import Runner, load_config
from soho.models.detector import Detector
from soho.models.heads.base import Head
from soho.models.target_positions import cache_target_positions
from soho.paths import CONFIGS
from soho.registry import MODELS
from tests.half_precision import use_fast_convolutions
from tests.host_reads import HostReads
from tests.test_configs import RECIPES, nodes, shrink
from tools.benchmark.bench import Bench
from tools.benchmark.training import Step

pytestmark = pytest.mark.slow
KINDS = (
    'Pretrain/soho_res18_pre',
    'VQA/soho_res18_vqa',
    'Retrieval/soho_res18_flickr30k',
    'VirTex/bicaptioning_R_50_L1_H512',
    'VirTex/masked_lm_R_50_L1_H2048',
    'VirTex/multilabel_classification_R_50',
    'Transfer/inaturalist_finetune',
    'Transfer/coco_mask_rcnn_fpn',
)
NAMES = [path.with_suffix('').as_posix() for path in RECIPES]
# How far a loss may be from the CPU's in float32, as a fraction of it; on a CPU convolutions are never in float16.
BOUNDS = dict(float32=1e-3, bfloat16=5e-2, float16=5e-2)
# Which regions are proposed, sampled and pooled depends on values.
CHOICES = ('detector.py', 'rpn.py', 'regions.py', 'pooling.py')


def on(device, names):
    marks = [pytest.mark.gpu] if device == 'cuda' else []
    return [pytest.param(name, device, marks=marks, id=f'{name}-{device}') for name in names]


EVERYWHERE = [*on('cpu', KINDS), *on('cuda', NAMES)]


@pytest.fixture
def make_step(small_synthetic, tmp_path, monkeypatch):
    """Steps of a recipe with the same weights and batches, on any device and in any precision; dropout is off."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)  # ten bits of a float32 product
    init_default_scope('soho')
    made = {}

    def make(name, device='cpu', dtype='float32', compiled=None):
        if name not in made:
            cfg = shrink(load_config(str(CONFIGS / f'{name}.py')), small_synthetic, tmp_path)
            for _, node in nodes(cfg._cfg_dict):
                node.update({key: 0.0 for key in node if 'dropout' in key})
            cfg.optim_wrapper.loss_scale = dict(init_scale=128.0)
            loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
            made[name] = cfg, [cache_target_positions(batch) for batch in islice(loader, 2)], None
        cfg, batches, weights = made[name]
        args = argparse.Namespace(device=device, dtype=dtype, cfg_options=None, compile=compiled)
        torch.manual_seed(0)
        step = Step(Bench(args, tuned=False), '', batches[0], copy.deepcopy(cfg))
        if weights is None:
            made[name] = cfg, batches, copy.deepcopy(step.model.state_dict())
        else:
            step.model.load_state_dict(weights)
        step.batches = batches
        use_fast_convolutions(step.model)
        return step

    return make


def losses_of(step):
    """Losses of a step, and of its backward pass the gradients."""
    with step.wrapper.optim_context(step.model):
        losses = step.model(mode='loss', **step.inputs)
        step.loss, _ = step.model.parse_losses(losses)
    step.backward()
    return {name: value.detach() for name, value in losses.items() if 'loss' in name}


@contextlib.contextmanager
def no_waits(device, allowed):
    """Neither the guard nor, on a GPU, CUDA itself may see the host wait."""
    if device == 'cuda' and not allowed:
        torch.cuda.set_sync_debug_mode('error')
    try:
        with HostReads(refuse=not allowed, device=device) as guard:
            yield
    finally:
        if device == 'cuda':
            torch.cuda.set_sync_debug_mode('default')
    assert {place.partition(':')[0] for place in guard.found} <= set(allowed)


def test_every_head_is_in_one_of_the_kinds():
    MODELS.import_from_location()
    heads = {part.__name__ for part in MODELS.module_dict.values() if isinstance(part, type) and issubclass(part, Head)}
    used = {str(load_config(str(CONFIGS / f'{name}.py')).model.get('heads')) for name in KINDS}
    own = {head for head in heads - {'Head'} if MODELS.get(head).__module__.startswith('soho.')}
    assert own == {head for head in own if any(f"'{head}'" in text for text in used)}


@pytest.mark.parametrize('dtype', BOUNDS)
@pytest.mark.parametrize('name, device', EVERYWHERE)
def test_a_step_is_the_cpu_s_and_waits_for_nothing(name, device, dtype, make_step, record_property):
    expected = None
    if dtype != 'float32' or device != 'cpu':
        reference = make_step(name)
        reference.data()
        expected = losses_of(reference)
    step = make_step(name, device, dtype)
    detects = isinstance(step.model, Detector)
    before = {key: value.clone() for key, value in step.model.named_parameters()}
    step.data()
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    with no_waits(device, CHOICES if detects else ()):
        losses = losses_of(step)
    if expected and not detects:  # whose samples each device draws by itself
        assert losses.keys() == expected.keys()
        for key, value in losses.items():
            torch.testing.assert_close(
                value, expected[key], rtol=BOUNDS[dtype], atol=1e-4, msg=lambda m, k=key: f'{k}: {m}'
            )
    with no_waits(device, () if dtype != 'float16' else ('amp_optimizer_wrapper.py',)):
        step.wrapper.step()
    step.wrapper.zero_grad()
    if device == 'cuda':
        record_property('peak_memory_mib', round(torch.cuda.max_memory_allocated() / 2**20))
    after = dict(step.model.named_parameters())
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in after.values())
    moved = {key.split('.')[0] for key, value in after.items() if not value.equal(before[key])}
    assert moved == {key.split('.')[0] for key, value in after.items() if value.requires_grad}


def compile_and_train(make_step, name, device, compiled):
    """Losses with and without ``compile``, and the number of graphs after each round over two batches."""
    losses, graphs = [], []
    for options in (None, compiled):
        torch._dynamo.reset()
        counters.clear()
        step = make_step(name, device, compiled=options)
        for round_ in range(3):
            for batch in step.batches:
                step.batch = batch
                step.data()
                losses_of(step)
                if round_ == 0 and batch is step.batches[0]:
                    losses.append(step.loss.item())
                step.wrapper.zero_grad()
            graphs.append(counters['stats']['unique_graphs'])
    return losses, graphs


@pytest.mark.parametrize('name, device', [*on('cpu', ['VQA/soho_res18_vqa']), *on('cuda', NAMES)])
def test_compiled_parts_learn_the_same_and_are_compiled_once(name, device, make_step):
    backend = 'eager' if device == 'cpu' else 'inductor' if name in KINDS else 'aot_eager'
    losses, graphs = compile_and_train(make_step, name, device, dict(backend=backend))
    assert graphs[:3] == [0, 0, 0] and graphs[4] >= 1
    assert graphs[5] == graphs[4], 'a graph was made after the first epochs'
    if 'rcnn' not in name and 'detection' not in name:
        assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.skipif(not shutil.which('g++'), reason='needs a compiler')
def test_inductor_compiles_the_neck(make_step):
    name = 'Pretrain/soho_res18_pre'
    losses, graphs = compile_and_train(make_step, name, 'cpu', dict(backend='inductor', parts=['neck']))
    assert graphs[3] >= 1 and graphs[5] == graphs[4]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@pytest.mark.skipif(torch.cuda.is_available(), reason='a GPU is at hand')
@pytest.mark.parametrize('name', [name for name in KINDS if 'rcnn' not in name])
def test_a_gpu_s_tensors_stay_there(name, make_step):
    """Without a GPU: shapes and devices alone, along the path that a GPU takes; what it would wait for is an error."""
    step = make_step(name)
    step.data()
    with FakeTensorMode() as mode:
        state, inputs = (
            {key: mode.from_tensor(value).to('cuda') for key, value in tensors.items()}
            for tensors in (dict(step.model.named_parameters()) | dict(step.model.named_buffers()), step.inputs)
        )
        losses = functional_call(step.model, state, kwargs=dict(inputs, mode='loss'))
    assert losses and all(value.device.type == 'cuda' and value.dim() == 0 for value in losses.values())
