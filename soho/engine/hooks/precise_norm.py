"""Batch-norm statistics of the final weights, instead of a running mean over older ones."""

import torch
from mmengine.hooks import Hook
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from soho.engine.distributed import unwrap_model
from soho.engine.loops import IterBasedTrainLoop
from soho.errors import UserError
from soho.registry import HOOKS


def running_statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """(C,) mean and (C,) variance of a batch-norm that tracks them."""
    assert norm.running_mean is not None and norm.running_var is not None, 'only norms that track are asked'
    return norm.running_mean, norm.running_var


@HOOKS.register_module()
class PreciseNormHook(Hook):
    """After the last iteration every batch-norm's statistics become those of further training batches.

    Mean and variance are averaged over the batches (arXiv:2105.07576, section
    3; ``TEST.PRECISE_BN`` of detectron2). Stands before checkpoints and
    evaluation, so that both have them.

    Args:
        batches: How many of the training data.

    Raises:
        UserError: Training is not counted in iterations (in ``before_train``).
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, batches: int = 200) -> None:
        self.batches = batches

    def before_train(self, runner) -> None:
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            raise UserError(
                'PreciseNormHook needs an IterBasedTrainLoop: within an epoch it would use up the '
                'batches that are still to come'
            )

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        norms = [
            m for m in runner.model.modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats
        ]
        if not self.is_last_train_iter(runner) or not norms:
            return
        runner.logger.info(f'batch-norm statistics are computed anew over {self.batches} batches')
        sums = [[torch.zeros_like(statistic) for statistic in running_statistics(norm)] for norm in norms]
        momenta = [norm.momentum for norm in norms]
        batches, seen = iter(runner.train_dataloader), 0
        with torch.no_grad():
            for norm in norms:
                norm.momentum = 1.0  # the running values are then the last batch's
            while seen < self.batches:
                try:
                    batch = next(batches)
                except StopIteration:
                    batches = iter(runner.train_dataloader)
                    continue
                preprocess = unwrap_model(runner.model).data_preprocessor
                assert callable(preprocess)  # which torch leaves open of a member of a module
                runner.model(**preprocess(batch, True), mode='loss')
                seen += 1
                for norm, (mean, var) in zip(norms, sums):
                    running_mean, running_var = running_statistics(norm)
                    mean += running_mean
                    var += running_var
            for norm, momentum, (mean, var) in zip(norms, momenta, sums):
                norm.momentum = momentum
                running_mean, running_var = running_statistics(norm)
                running_mean.copy_(mean / seen)
                running_var.copy_(var / seen)
