"""``compile`` of a config: the parts that compute, each by itself; the same weights, no graph after the first epoch."""

import pytest
import torch
from mmengine.hooks import Hook
from torch._dynamo.utils import counters

from soho.engine import ConfigError, Runner


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
