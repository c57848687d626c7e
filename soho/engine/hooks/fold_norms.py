"""Fold batch-norms into convolutions before a test."""
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from soho.models.folding import fold_norms
from soho.registry import HOOKS


@HOOKS.register_module()
class FoldNormsHook(Hook):
    """``custom_hooks=[dict(type='FoldNormsHook')]``: a faster CNN in ``tools/test.py``, see :func:`fold_norms`."""

    def before_test_epoch(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        fold_norms(model.eval())
