"""What test_distributed.py runs in one process and, through torchrun, in two.

torchrun --nproc-per-node 2 tests/distributed_run.py CONFIGS FOLDER
"""

import json
import sys

import mmengine
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook

from soho.engine import Runner
from soho.engine.distributed import unwrap_model
from soho.registry import HOOKS
from tests.half_precision import use_fast_convolutions


@HOOKS.register_module(force=True)
class KeepGradients(Hook):
    """Keeps the gradients with which the optimizer steps.

    ReLUs become GELUs: at a ReLU's kink a rounding error of 1e-7, which the
    two formulas of batch-norm do differ by, changes a gradient by a percent.
    """

    def before_train(self, runner):
        use_fast_convolutions(unwrapped(runner))
        for module in unwrapped(runner).backbone.modules():
            if hasattr(module, 'relu'):
                module.relu = torch.nn.GELU()
        runner.optim_wrapper.optimizer.register_step_pre_hook(lambda *_: self.keep(runner))

    def keep(self, runner):
        runner.gradients = {name: p.grad.clone() for name, p in unwrapped(runner).named_parameters()}


def unwrapped(runner):
    return unwrap_model(runner.model)


def train(cfg):
    """Gradients, and what an evaluation after it would find of statistics and dictionary, of a run of one step."""
    hooks = [dict(type='KeepGradients'), dict(type='RankZeroBuffersHook')]
    runner = Runner.from_cfg(Config(dict(cfg, custom_hooks=hooks)))
    runner.train()
    runner.call_hook('before_val_epoch')
    state = unwrapped(runner).state_dict()
    buffers = {name: value for name, value in state.items() if name not in runner.gradients}
    return dict(gradients=runner.gradients, buffers=buffers)


def run(cfgs, folder):
    """Train each of ``cfgs['steps']``, then do ``cfgs['evaluations']``; the answers go to files below ``folder``."""
    results = {name: train(cfg) for name, cfg in cfgs['steps'].items()}
    results['metrics'] = {}
    for name, cfg in cfgs['evaluations'].items():
        cfg = Config(cfg)
        cfg.test_evaluator.out_file = f'{folder}/{name}.json'
        results['metrics'][name] = Runner.from_cfg(cfg).test()
    return results


if __name__ == '__main__':
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)  # see conftest.py
    with open(sys.argv[1]) as file:
        results = run(json.load(file), sys.argv[2])
    torch.save(results, f'{sys.argv[2]}/rank{get_rank()}.pt')
