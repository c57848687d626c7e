"""When checkpoints are saved, and which of them are kept."""

import hashlib
import io
import os
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook

from soho.engine.checkpoint.newest import POINTER, saved_runs
from soho.engine.checkpoint.read import read_checkpoint
from soho.engine.checkpoint.save import remove_checkpoint, remove_lost_shards
from soho.errors import UserError
from soho.files import atomic_write, remove_leftovers, write_text
from soho.registry import HOOKS


@HOOKS.register_module(force=True)
class CheckpointHook(MMEngineCheckpointHook):
    """As mmengine's, but at every moment there is a checkpoint that is whole.

    A new file is written in the background (:class:`soho.engine.checkpoint.background.BackgroundWriter`; with
    ``sharded`` the training waits), gets its name once it is complete, and only then an older one goes. The best
    checkpoint is replaced after the state that names the new one has been saved.

    Besides epochs or iterations a run may count minutes, and a run that is told to stop saves what it has
    (:mod:`soho.engine.stopping`); what is saved within an epoch is called ``iter_N.pth``.

    Args:
        sharded: Each rank writes its part of tensors that ranks shard among them (FSDP2) into a folder beside the
            file, ``epoch_1.0123456789abcdef.shards``, which has to be copied along; by default rank 0 gathers and
            writes all. Ranks need a file system that they share. Without sharded tensors it changes nothing.
        minutes: Save when so many have passed since the last checkpoint, by the clock of rank 0; by default never.
        **kwargs: See ``mmengine.hooks.CheckpointHook``.
    """

    out_dir: Any  # a path from `before_train` on

    def __init__(self, *args, minutes: float | None = None, sharded: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if minutes is not None and minutes <= 0:
            raise UserError(f'CheckpointHook: minutes is {minutes}; it is above 0, or None for never')
        self.minutes = minutes
        self.sharded = sharded
        self._training = False
        self._kept: list[str] = []  # names, the newest last
        self._best: dict[str, str | None] = {}  # path of the best checkpoint by metric
        self._save_number = 0
        self._saved_at = 0.0

    def before_train(self, runner) -> None:
        if self.out_dir is None:
            self.out_dir = runner.work_dir
        elif self.out_dir != runner.work_dir:
            self.out_dir = os.path.join(self.out_dir, os.path.basename(runner.work_dir.rstrip(os.sep)))
        runner.logger.info(f'Checkpoints will be saved to {self.out_dir}.')
        if self.sharded and not self._is_local:
            raise UserError(f'CheckpointHook writes shards into folders, and out_dir is {self.out_dir}: name a folder')
        self._training = True
        self._saved_at = time.monotonic()
        if self.save_best is not None:
            info = runner.message_hub.runtime_info
            self._best = {key: info.get(self._info_key('best_ckpt', key)) for key in self.key_indicators}
        if is_main_process() and self._is_local:
            os.makedirs(self.out_dir, exist_ok=True)
            remove_leftovers(self.out_dir)
            remove_lost_shards(self.out_dir)
            runs, _ = saved_runs([self.out_dir])
            self._save_number = max((run.save_number for run in runs), default=0)
            if runner.iter > 0:
                self._kept = [os.path.basename(run.path) for run in runs]
            elif runs:
                runner.logger.warning(
                    f'{self.out_dir} holds checkpoints of an earlier run, {os.path.basename(runs[-1].path)} the '
                    'newest; this run begins anew and writes over those that have the names of its own '
                    '(--resume goes on from them)'
                )

    @property
    def _is_local(self) -> bool:
        return '://' not in str(self.out_dir)

    def _info_key(self, name: str, metric: str) -> str:
        """Of the message hub, as mmengine names it."""
        return name if len(self.key_indicators) == 1 else f'{name}_{metric}'

    def save_now(self, runner) -> str:
        """Save between two iterations; returns the path."""
        meta = dict(epoch=runner.epoch, iter=runner.iter)
        return self._save_state(runner, f'iter_{runner.iter}.pth', meta)

    def minutes_are_over(self) -> bool:
        """Whether a checkpoint is due by the clock of this process."""
        return self.minutes is not None and time.monotonic() - self._saved_at >= 60 * self.minutes

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict[str, Any]) -> None:
        self._save_state(runner, self.filename_tmpl.format(step), meta)

    def _save_state(self, runner, name: str, meta: dict[str, Any]) -> str:
        self._save_number += 1
        self.last_ckpt = os.path.join(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=dict(meta, save_number=self._save_number),
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            sharded=self.sharded,
            **self.args,
        )
        self._saved_at = time.monotonic()
        if is_main_process() and self._is_local:
            pointer = Path(runner.work_dir, POINTER), os.path.relpath(self.last_ckpt, runner.work_dir)
            runner.writer.submit(partial(write_text, *pointer))
            self._kept = [*(other for other in self._kept if other != name), name]
            while 0 < self.max_keep_ckpts < len(self._kept):
                runner.writer.submit(partial(remove_checkpoint, Path(self.out_dir, self._kept.pop(0))))
        return self.last_ckpt

    def _save_best_checkpoint(self, runner, metrics: dict[str, float]) -> None:
        if not self.save_best or not self._training:
            return
        if 'auto' in self.key_indicators:
            self._init_rule(self.rules, [next(iter(metrics))])
            self._best = {self.key_indicators[0]: self._best.get('auto')}
        hub, meta = runner.message_hub, dict(epoch=runner.epoch, iter=runner.iter)
        kind, count = ('epoch', runner.epoch) if self.by_epoch else ('iter', runner.iter)
        replaced = []
        for key, rule in zip(self.key_indicators, self.rules):
            if key not in metrics:
                raise UserError(
                    f'save_best of the CheckpointHook names {key!r}, and the evaluation gives {", ".join(metrics)}'
                )
            score, score_key = metrics[key], self._info_key('best_score', key)
            best = hub.get_info(score_key) if score_key in hub.runtime_info else self.init_value_map[rule]
            if score is None or not self.is_better_than[key](score, best):
                continue
            name = f'best_{key}_{self.filename_tmpl.format(count)}'.replace('/', '_')
            path = os.path.join(self.out_dir, name)
            hub.update_info(score_key, score)
            hub.update_info(self._info_key('best_ckpt', key), path)
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=False,
                save_param_scheduler=False,
                meta=meta,
                by_epoch=False,
                backend_args=self.backend_args,
                sharded=self.sharded,
            )
            runner.logger.info(f'The best checkpoint with {score:0.4f} {key} at {count} {kind} is saved to {name}.')
            replaced.append((self._best.get(key), path))
            self._best[key] = path
        if replaced and self.last_ckpt is not None:
            # The state that a run goes on from knows of the new best one before the old one goes.
            self._save_checkpoint_with_step(runner, count, meta)
        if is_main_process() and self._is_local:
            for old, new in replaced:
                if old is not None and old != new:
                    runner.writer.submit(partial(remove_checkpoint, old))

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Names in the work dir instead of paths, so that it can be moved."""
        if self._training:
            info = dict(checkpoint['message_hub']['runtime_info'])
            for key, value in info.items():
                if key.startswith(('best_ckpt', 'last_ckpt')) and isinstance(value, str):
                    info[key] = os.path.basename(value)
            checkpoint['message_hub'] = dict(checkpoint['message_hub'], runtime_info=info)

    def after_train(self, runner) -> None:
        self._training = False
        runner.writer.wait()
        if self.published_keys is not None and is_main_process():
            for path in {self.last_ckpt if self.save_last else None, *self._best.values()}:
                if path is not None:
                    self._publish_model(runner, path)

    def _publish_model(self, runner, ckpt_path: str) -> None:
        """Write the ``published_keys`` of a checkpoint to a file that has a part of their SHA-256 in its name."""
        assert self.published_keys is not None, 'nothing is published otherwise'
        contents = io.BytesIO()
        torch.save({k: v for k, v in read_checkpoint(ckpt_path).items() if k in self.published_keys}, contents)
        path = f'{os.path.splitext(ckpt_path)[0]}-{hashlib.sha256(contents.getvalue()).hexdigest()[:8]}.pth'
        with atomic_write(path) as file:
            file.write(contents.getvalue())
        runner.logger.info(f'The checkpoint {ckpt_path} is published to {path}.')
