"""``compile`` of a config: the parts that compute, each by itself; the same weights, no graph after the first epoch."""

import pytest
import torch
from mmengine.hooks import Hook
from torch._dynamo.utils import counters

from soho.engine import ConfigError, Runner
from soho.engine.compile import compile_parts


class CountGraphs(Hook):
    """How many graphs there are after each epoch."""

    def __init__(self):
        self.graphs = []

    def after_train_epoch(self, runner):
        self.graphs.append(counters['stats']['unique_graphs'])


@pytest.mark.parametrize('task', ['pretrain', 'vqa'])
@pytest.mark.slow
def test_training_makes_its_graphs_in_the_first_epoch_and_learns_the_same(task, tiny_config):
    torch._dynamo.reset()
    counters.clear()
    runs = []
    for compiled in (None, dict(backend='eager')):
        runner = Runner.from_cfg(tiny_config(task, epochs=2, compile=compiled))
        hook = CountGraphs()
        runner.register_hook(hook)
        runner.train()
        runs.append((runner.model.state_dict(), hook.graphs))
    (plain, none), (weights, graphs) = runs
    assert none == [0, 0] and graphs[0] >= 3 and graphs[1] == graphs[0]
    assert not counters['graph_break']
    torch.testing.assert_close(weights, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('part', ['backbone', 'language'])
def test_checkpointed_parts_learn_the_same(part, make_model, make_batch, preprocess, soho_config):
    torch._dynamo.reset()
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = make_model('vqa', **{part: dict(soho_config('vqa')[part], with_cp=True)}).train()
        if compiled:
            compile_parts(model, dict(backend='eager'))
        for _ in range(2):
            model(mode='loss', **preprocess(model, make_batch()))['loss_vqa'].backward()
        results.append(({name: p.grad for name, p in model.named_parameters()}, dict(model.named_buffers())))
    torch.testing.assert_close(results[1], results[0])


def test_a_test_runs_the_compiled_parts(tiny_config, run_training, tmp_path):
    run_training('vqa').save_checkpoint(str(tmp_path), 'model.pth')
    metrics = []
    for compiled in (None, dict(backend='eager')):
        torch._dynamo.reset()
        counters.clear()
        runner = Runner.from_cfg(tiny_config('vqa', compile=compiled, load_from=str(tmp_path / 'model.pth')))
        metrics.append(runner.test())
        assert (counters['stats']['unique_graphs'] > 0) == bool(compiled)
    assert metrics[0] == metrics[1]


def test_parts_are_chosen(tiny_config):
    torch._dynamo.reset()
    counters.clear()
    Runner.from_cfg(tiny_config(iters=1, compile=dict(backend='eager', parts=['backbone']))).train()
    assert counters['stats']['unique_graphs'] == 1


@pytest.mark.parametrize(
    'options, sentence',
    [
        (dict(parts=['spine']), "compile.parts of the config names 'spine'; parts that can be compiled are .*backbone"),
        (dict(parts=['heads']), "compile.parts of the config names 'heads'; parts that can be compiled are .*backbone"),
        (dict(part='backbone'), "compile of the config: .*'part'"),
    ],
)
def test_what_cannot_be_compiled_is_said(options, sentence, tiny_config):
    runner = Runner.from_cfg(tiny_config(iters=1, compile=options))
    with pytest.raises(ConfigError, match=sentence):
        runner.train()
