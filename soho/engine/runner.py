"""mmengine's runner with what this project needs differently."""

import logging
import os
from collections.abc import Callable
from typing import Any

import torch
from mmengine.evaluator import Evaluator
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop
from mmengine.runner import Runner as MMEngineRunner
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from soho.engine.checkpoint.adapters.layouts import OWN_LAYOUT
from soho.engine.checkpoint.inference_spec import describe_run
from soho.engine.checkpoint.load import layout_of, load_weights
from soho.engine.checkpoint.plain import to_plain
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint, state_dict_of
from soho.engine.checkpoint.safe_loading import use_safe_loading
from soho.engine.checkpoint.save import use_atomic_writing
from soho.engine.checkpoint.train_state import check_train_state, count_gpus
from soho.engine.compile import compile_parts
from soho.engine.data_checks import check_data
from soho.engine.distributed import init_gloo, unwrap_model
from soho.errors import UserError
from soho.models.sync_bn import synchronise_parts
from soho.platform import keep_freed_memory, use_onednn_products
from soho.registry import EVALUATOR, MODEL_WRAPPERS, RUNNERS, import_parts


@RUNNERS.register_module(force=True)
class Runner(MMEngineRunner):
    """Checkpoints are plain data, batch-norm is synchronised, and gloo serves machines without a GPU.

    Besides mmengine's keys the config may hold

    - ``sync_bn`` (bool or list): the batch-norms whose statistics are those of all ranks and not each rank's
      own: all (``True``), none (``False``, apart from layers of the type ``SyncBN``), or those of the parts that
      are named. The published SOHO synchronises ``['neck']``, the published VirTex none;
    - ``load_parts`` (list): the parts of the model, such as ``'backbone'``, that training takes from ``load_from``.
    """

    _whole_model = False  # fine-tuning starts from a checkpoint that has other heads
    _resuming = False
    _compiled = False

    def __init__(self, *args, **kwargs) -> None:
        use_safe_loading()
        use_atomic_writing()
        import_parts()
        super().__init__(*args, **kwargs)

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """As mmengine, which can only start a process group on GPUs.

        For machines without a GPU ``env_cfg`` may hold ``onednn_products`` and ``keep_freed_memory`` (bool), see
        :mod:`soho.platform`.
        """
        if not torch.accelerator.is_available():
            if env_cfg.get('onednn_products', False):
                use_onednn_products()
            if env_cfg.get('keep_freed_memory', False):
                keep_freed_memory()
        if self.distributed:
            init_gloo(self._launcher, env_cfg.get('dist_cfg', {}).get('timeout'))
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """To its device and, with several processes, into ``MMDistributedDataParallel`` or the configured wrapper.

        Args:
            model_wrapper_cfg: Type and arguments of the wrapper; what it leaves out is as without it.
            model: The model.
        """
        if is_model_wrapper(model) or not self.distributed:
            return super().wrap_model(model_wrapper_cfg, model)
        model = synchronise_parts(model, self.cfg.get('sync_bn', False))
        wrapper = dict(dict(type='MMDistributedDataParallel'), **(model_wrapper_cfg or {}))
        make = MODEL_WRAPPERS.get(wrapper['type'])
        if make is None:
            raise UserError(
                f'model_wrapper_cfg of the config is of the type {wrapper["type"]}, which nobody has registered'
            )
        options: dict[str, Any] = dict(module=model)
        device_ids = None
        if torch.cuda.is_available():
            # Chosen by mmengine as it started the process group; LOCAL_RANK is not set by every launcher.
            device_ids = [torch.cuda.current_device()]
            model.cuda(device_ids[0])
        if issubclass(make, DistributedDataParallel):
            options.update(
                device_ids=device_ids,
                # Training reads no buffer that differs between ranks; for evaluation see RankZeroBuffersHook.
                broadcast_buffers=False,
                find_unused_parameters=self.cfg.get('find_unused_parameters', False),
                gradient_as_bucket_view=True,
            )
        return MODEL_WRAPPERS.build(wrapper, default_args=options)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """As mmengine; with ``diff_rank_seed`` ranks draw different dropout masks, and :attr:`seed` is still shared."""
        super().set_randomness(seed, diff_rank_seed, deterministic)
        if diff_rank_seed:
            self._seed -= self.rank

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """As mmengine, but samplers of all ranks have the run's seed, whatever ``diff_rank_seed``.

        Workers start by :func:`soho.datasets.workers.init_worker` unless the config names another.
        """
        import_parts()  # a loader can be built without a runner
        if isinstance(dataloader, dict) and 'worker_init_fn' not in dataloader:
            dataloader = dict(dataloader, worker_init_fn=dict(type='init_worker'))
        return MMEngineRunner.build_dataloader(dataloader, seed)

    def build_train_loop(self, loop: Any) -> BaseLoop:
        return self._checked(super().build_train_loop(loop), 'train_dataloader')

    def build_val_loop(self, loop: Any) -> BaseLoop:
        return self._checked(super().build_val_loop(loop), 'val_dataloader')

    def build_test_loop(self, loop: Any) -> BaseLoop:
        return self._checked(super().build_test_loop(loop), 'test_dataloader')

    def _checked(self, loop: BaseLoop, source: str) -> BaseLoop:
        """Let every head look at the data before the first step."""
        mode = 'loss' if source == 'train_dataloader' else 'predict'
        check_data(unwrap_model(self.model), loop.dataloader.dataset, mode, f'{source} of the config')
        return loop

    def build_evaluator(self, evaluator: Any) -> Evaluator:
        """As mmengine, but metrics are held by this project's evaluator."""
        if isinstance(evaluator, Evaluator) or 'metrics' in evaluator:
            return super().build_evaluator(evaluator)
        own = EVALUATOR.get('Evaluator')
        assert own is not None  # soho.evaluation.evaluator registers it
        return own(evaluator)

    def _maybe_compile(self, target: str) -> None:
        """mmengine compiles the whole step, optimizer and logs included; here only the parts that compute are."""
        if not self._compiled:
            self._compiled = True
            compile_parts(unwrap_model(self.model), self.cfg.get('compile'))

    def call_hook(self, fn_name: str, **kwargs) -> None:
        super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_save_checkpoint':
            checkpoint = kwargs['checkpoint']
            dataset = getattr(self.train_dataloader, 'dataset', None)
            checkpoint['meta'].update(describe_run(dataset, self.cfg.filename))
            for key, value in checkpoint.items():
                checkpoint[key] = to_plain(value)

    def test(self) -> dict[str, float]:
        """Evaluate; the checkpoint has to fill the whole model."""
        self._whole_model = True
        self._maybe_compile('test_step')
        return super().test()

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Go on where a run stopped; the checkpoint has to fill the whole model.

        What mmengine takes from the file beside the weights is checked in :meth:`load_checkpoint`.
        """
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
        checkpoint = read_checkpoint(filename, map_location)
        model = unwrap_model(self.model)
        if self._resuming:
            checkpoint = self._check_resumable(checkpoint, filename)
        try:
            self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:  # a hook's state, damaged
            raise CheckpointError(f'{filename} cannot be used: a hook finds {type(error).__name__}: {error}') from error
        whole = strict or self._whole_model
        parts = None if whole else self.cfg.get('load_parts')
        report = load_weights(model, state_dict_of(checkpoint), filename, whole, parts)
        self._has_loaded = True
        beside = ', '.join(key for key in checkpoint if key != 'state_dict') if 'state_dict' in checkpoint else ''
        self.logger.log(
            logging.WARNING if report.missing else logging.INFO,
            f'{filename}: {report}' + (f'; beside the weights: {beside}' if beside else ''),
        )
        return checkpoint

    def _check_resumable(self, checkpoint: dict[str, Any], filename: str) -> dict[str, Any]:
        """Return the checkpoint of a run like this one, with nothing in it that mmengine would run."""
        layout = layout_of(checkpoint, unwrap_model(self.model).state_dict(), filename)
        if layout != OWN_LAYOUT:
            raise CheckpointError(
                f'{filename} is an {layout}: a run of this project starts from its weights '
                '(load_from) but cannot go on where another program stopped'
            )
        gpus = count_gpus(checkpoint)
        if gpus not in (None, self.world_size):
            if not (self.auto_scale_lr or {}).get('enable'):
                raise CheckpointError(
                    f'{filename} is of a run on {gpus} GPUs, and this one has {self.world_size}: its learning rate '
                    'would be another; auto_scale_lr=dict(enable=True) scales it'
                )
            self.logger.info(f'{filename} is of a run on {gpus} GPUs; the learning rate is scaled by auto_scale_lr')
        assert self.optim_wrapper is not None, 'only training is resumed'
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        # The checkpoint hook makes a folder of the work dir's name in its own.
        others = [hook.out_dir for hook in self.hooks if getattr(hook, 'out_dir', None)]
        folders = [self.work_dir, *others, *(os.path.join(o, os.path.basename(self.work_dir)) for o in others)]
        return check_train_state(checkpoint, filename, self.optim_wrapper, self.param_schedulers, folders)
