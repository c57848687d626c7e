"""The end of a training whose score no longer improves."""

from mmengine.hooks import EarlyStoppingHook as MMEngineEarlyStoppingHook

from soho.registry import HOOKS


@HOOKS.register_module(force=True)
class EarlyStoppingHook(MMEngineEarlyStoppingHook):
    """As mmengine's, with its best score and how long that stood in the checkpoint: a resumed run ends where one would.

    Args:
        *args: See ``mmengine.hooks.EarlyStoppingHook``.
        **kwargs: See ``mmengine.hooks.EarlyStoppingHook``; another ``monitor`` or ``rule`` begins anew.
    """

    priority = 'LOW'  # before the best checkpoint is saved

    @property
    def _key(self) -> str:
        return f'early_stopping_{self.monitor}_{self.rule}'

    def before_train(self, runner) -> None:
        kept = runner.message_hub.runtime_info.get(self._key)  # of the run that this one goes on with
        if kept is not None:
            self.best_score, self.wait_count = kept
            threshold = self.stopping_threshold
            reached = threshold is not None and self.rule_map[self.rule](self.best_score, threshold)
            runner.train_loop.stop_training = reached or self.wait_count >= self.patience

    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        super().after_val_epoch(runner, metrics)
        runner.message_hub.update_info(self._key, [float(self.best_score), self.wait_count])
