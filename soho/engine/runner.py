"""mmengine's runner with what this project needs differently."""

import logging
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import BaseLoop, CheckpointLoader
from mmengine.runner import Runner as MMEngineRunner
from torch import nn
from torch.utils.data import DataLoader

from soho.engine.checkpoint.adapters import OWN_LAYOUT
from soho.engine.checkpoint.read import CheckpointError, from_plain, load_weights, state_dict_of, to_plain
from soho.engine.compile import compile_parts
from soho.engine.cpu import use_onednn_products
from soho.engine.data_checks import check_data
from soho.errors import UserError
from soho.evaluation.evaluator import Evaluator
from soho.malloc import keep_freed_memory
from soho.models.sync_bn import convert_sync_batchnorm
from soho.registry import RUNNERS


@RUNNERS.register_module(force=True)
class Runner(MMEngineRunner):
    """Checkpoints are plain data, batch-norm is synchronised, and gloo serves machines without a GPU.

    Besides mmengine's keys the config may hold ``sync_bn`` (bool): statistics
    of every batch-norm over all ranks, and not each rank's own; and ``load_parts`` (list): the parts of
    the model, such as ``'backbone'``, that training takes from ``load_from``.
    """

    _whole_model = False  # fine-tuning starts from a checkpoint that has other heads
    _resuming = False

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """As mmengine, which can only start a process group on GPUs.

        For machines without a GPU ``env_cfg`` may hold ``onednn_products`` and ``keep_freed_memory`` (bool), see
        :mod:`soho.engine.cpu` and :mod:`soho.malloc`.
        """
        if not torch.accelerator.is_available():
            if env_cfg.get('onednn_products', False):
                use_onednn_products()
            if env_cfg.get('keep_freed_memory', False):
                keep_freed_memory()
        if self.distributed and not torch.cuda.is_available() and not torch.distributed.is_initialized():
            if self._launcher != 'pytorch':
                raise UserError(
                    f'launcher {self._launcher!r} needs GPUs; without one use torchrun (--launcher pytorch)'
                )
            torch.distributed.init_process_group('gloo')
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """To its device and, with several processes, into ``MMDistributedDataParallel``."""
        if is_model_wrapper(model) or not self.distributed or model_wrapper_cfg is not None:
            return super().wrap_model(model_wrapper_cfg, model)
        if self.cfg.get('sync_bn', False):
            model = convert_sync_batchnorm(model)
        device_ids = None
        if torch.cuda.is_available():
            local_rank = int(os.environ['LOCAL_RANK'])
            model = model.cuda(local_rank)
            device_ids = [local_rank]
        # Training reads no buffer that differs between ranks; for evaluation see RankZeroBuffersHook.
        return MMDistributedDataParallel(
            model, device_ids=device_ids, broadcast_buffers=False, gradient_as_bucket_view=True
        )

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """As mmengine; workers start by :func:`soho.datasets.workers.init_worker` unless the config names another."""
        if isinstance(dataloader, dict) and 'worker_init_fn' not in dataloader:
            dataloader = dict(dataloader, worker_init_fn=dict(type='init_worker'))
        return MMEngineRunner.build_dataloader(dataloader, *args, **kwargs)

    def build_train_loop(self, loop: Any) -> BaseLoop:
        return self._checked(super().build_train_loop(loop), 'train_dataloader')

    def build_val_loop(self, loop: Any) -> BaseLoop:
        return self._checked(super().build_val_loop(loop), 'val_dataloader')

    def build_test_loop(self, loop: Any) -> BaseLoop:
        return self._checked(super().build_test_loop(loop), 'test_dataloader')

    def _checked(self, loop: BaseLoop, source: str) -> BaseLoop:
        """Let every head look at the data before the first step."""
        model = self.model.module if is_model_wrapper(self.model) else self.model
        mode = 'loss' if source == 'train_dataloader' else 'predict'
        check_data(model, loop.dataloader.dataset, mode, f'{source} of the config')
        return loop

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """As mmengine, but metrics are held by this project's evaluator."""
        if isinstance(evaluator, Evaluator) or 'metrics' in evaluator:
            return super().build_evaluator(evaluator)
        return Evaluator(evaluator)

    def _maybe_compile(self, target: str) -> None:
        """mmengine compiles the whole step, optimizer and logs included; here only the parts that compute are."""
        model = self.model.module if is_model_wrapper(self.model) else self.model
        compile_parts(model, self.cfg.get('compile'))

    def call_hook(self, fn_name: str, **kwargs) -> None:
        super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_save_checkpoint':
            checkpoint = kwargs['checkpoint']
            for key, value in checkpoint.items():
                checkpoint[key] = to_plain(value)

    def test(self) -> dict[str, float]:
        """Evaluate; the checkpoint has to fill the whole model."""
        self._whole_model = True
        return super().test()

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Go on where a run stopped; the checkpoint has to fill the whole model."""
        self._whole_model = self._resuming = True
        super().resume(filename, *args, **kwargs)

    def load_checkpoint(
        self, filename: str, map_location: str | Callable = 'cpu', strict: bool = False, revise_keys: Any = None
    ) -> dict[str, Any]:
        """Read safely, lay over the model, and say what was taken and what was not.

        Args:
            filename: A file, ``http(s)://`` or ``torchvision://``.
            map_location: Where tensors go.
            strict: Demand every entry of the model, as testing and resuming do.
            revise_keys: Ignored; foreign layouts are known by their contents.

        Raises:
            soho.engine.checkpoint.read.CheckpointError: It does not fit.
        """
        checkpoint = CheckpointLoader.load_checkpoint(filename, map_location)
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = from_plain(checkpoint['message_hub'])
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        whole = strict or self._whole_model
        parts = None if whole else self.cfg.get('load_parts')
        report = load_weights(model, state_dict_of(checkpoint), filename, whole, parts)
        if self._resuming and report.layout != OWN_LAYOUT:
            raise CheckpointError(
                f'{filename} is an {report.layout}: a run of this project starts from its weights '
                '(load_from) but cannot go on where another program stopped'
            )
        self._has_loaded = True
        beside = ', '.join(key for key in checkpoint if key != 'state_dict') if 'state_dict' in checkpoint else ''
        self.logger.log(
            logging.WARNING if report.missing else logging.INFO,
            f'{filename}: {report}' + (f'; beside the weights: {beside}' if beside else ''),
        )
        return checkpoint
