"""Batch-norm statistics after training are those of the training data under the final weights."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from soho.engine.hooks import PreciseNormHook


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3, momentum=0.25)
        self.kept = nn.BatchNorm1d(3).eval()

    def data_preprocessor(self, batch, training):
        return dict(x=batch)

    def forward(self, x, mode):
        assert mode == 'loss' and not torch.is_grad_enabled()
        return self.norm(x)


def test_statistics_become_the_mean_over_batches_at_the_last_iteration_only():
    batches = [torch.randn(8, 3) * 3 + 1 for _ in range(2)]
    model = Model()
    runner = SimpleNamespace(
        model=model, iter=3, max_iters=5, train_dataloader=batches, logger=SimpleNamespace(info=lambda text: None)
    )
    hook = PreciseNormHook(batches=4)  # twice through the data
    hook.after_train_iter(runner, 3)
    assert model.norm.running_mean.eq(0).all()
    runner.iter = 4
    hook.after_train_iter(runner, 4)
    torch.testing.assert_close(model.norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    torch.testing.assert_close(model.norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0))
    assert model.norm.momentum == 0.25 and model.kept.running_mean.eq(0).all()


def test_it_comes_before_checkpoints_and_needs_a_loop_of_iterations():
    assert Hook.priority == 'NORMAL' and PreciseNormHook.priority == 'BELOW_NORMAL'
    with pytest.raises(ValueError, match='needs an IterBasedTrainLoop'):
        PreciseNormHook().before_train(SimpleNamespace(train_loop=None))
