"""Notice of a classifier that has learnt nothing after many steps."""

import math

from mmengine.hooks import Hook

from soho.registry import HOOKS


@HOOKS.register_module()
class ChanceLossHook(Hook):
    """Warns once if a loss stays where guessing is: at ln(num_classes), 0.693 for two classes.

    Started from random weights, a transformer may stay there for a whole run on pairs of images; started from
    pretraining it does not, so that the first question is whether the weights were loaded.

    Args:
        head: Name of the head, whose loss is ``loss_<head>``.
        num_classes: Its number of classes.
        after: Iterations before the loss is looked at.
        window: Iterations over which it is averaged.
        margin: How close to guessing the mean must be, as a share of it.
    """

    def __init__(
        self, head: str, num_classes: int = 2, after: int = 1000, window: int = 500, margin: float = 0.005
    ) -> None:
        self.head = head
        self.num_classes = num_classes
        self.after = after
        self.window = window
        self.margin = margin
        self._done = False

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        if self._done or runner.iter + 1 < self.after:
            return
        history = runner.message_hub.log_scalars.get(f'train/loss_{self.head}')
        if history is None or not len(history.data[0]):  # not yet fetched from the device
            return
        self._done = True
        chance = math.log(self.num_classes)
        mean = float(history.mean(self.window))
        if abs(mean - chance) <= self.margin * chance:
            source = runner._load_from
            cause = (
                'load_from is not set, so that only parts that name weights of their own began with some'
                if source is None
                else f'see above what was loaded from {source}'
            )
            runner.logger.warning(
                f'loss_{self.head} stays at {mean:.3f} after {runner.iter + 1} iterations, as by guessing among '
                f'{self.num_classes} classes ({chance:.3f}): were the weights loaded? {cause}'
            )
