"""One set of batch-norm statistics for all ranks where they are not synchronised."""

from mmengine.dist import broadcast
from mmengine.hooks import Hook

from soho.registry import HOOKS


@HOOKS.register_module()
class RankZeroBuffersHook(Hook):
    """Gives all ranks the buffers of rank 0 before an evaluation: those that a checkpoint holds.

    With ``sync_bn=False`` each rank keeps running statistics of its own
    images, which training does not read, so that there they need not agree.
    """

    def before_val_epoch(self, runner) -> None:
        for buffer in runner.model.buffers():
            broadcast(buffer, src=0)
