"""Fold batch-norms into convolutions for a test."""

from copy import deepcopy

from mmengine.hooks import Hook

from soho.engine.distributed import unwrap_model
from soho.models.folding import fold_norms
from soho.registry import HOOKS


@HOOKS.register_module()
class FoldNormsHook(Hook):
    """``custom_hooks=[dict(type='FoldNormsHook')]``: a faster CNN in ``tools/test.py``, see :func:`fold_norms`.

    The test runs on a copy; afterwards the model is what it was.
    """

    priority = 'LOW'  # an average of weights is put in place before

    def before_test_epoch(self, runner) -> None:
        self.model = runner.model
        runner.model = fold_norms(deepcopy(unwrap_model(runner.model)).eval())

    def after_test_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        runner.model = self.model
