"""mmengine's runner with what this project needs differently."""

import logging
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper as MMEngineOptimWrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import BaseLoop
from mmengine.runner import Runner as MMEngineRunner
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from soho.datasets.loader import WORKER_TIMEOUT, DataLoader
from soho.engine.checkpoint.safe_loading import use_safe_loading
from soho.engine.checkpoint.save import nonfinite_tensors
from soho.engine.compile import compile_parts
from soho.engine.data_checks import check_data, check_steps, open_datasets
from soho.engine.distributed import init_gloo, name_ranks, unwrap_model
from soho.engine.fsdp import FSDP2, check_sharding, exchange_parameters
from soho.engine.loops import EpochBasedTrainLoop, IterBasedTrainLoop
from soho.engine.resumable_runner import ResumableRunner, check_folder
from soho.engine.stopping import Stopping
from soho.errors import TrainingError, UserError
from soho.files import make_write_error, name_full_disk
from soho.models.sync_bn import synchronize_parts
from soho.platform import keep_freed_memory, use_cpu_threads, use_onednn_products
from soho.ranks import ANSWER_TIMEOUT, LIMIT, name_absent, note_progress, prepare_ranks
from soho.registry import EVALUATOR, MODEL_WRAPPERS, RUNNERS, import_parts

# Settings of a loader that are for its workers.
OF_WORKERS = ('persistent_workers', 'prefetch_factor', 'multiprocessing_context', 'timeout')


@RUNNERS.register_module(force=True)
class Runner(ResumableRunner):
    """Checkpoints are plain data, batch-norm is synchronised, and gloo serves machines without a GPU.

    Besides mmengine's keys the config may hold

    - ``sync_bn`` (bool or list): the batch-norms whose statistics are those of all ranks and not each rank's
      own: all (``True``), none (``False``, apart from layers of the type ``SyncBN``), or those of the parts that
      are named. The published SOHO synchronises ``['neck']``, the published VirTex none;
    - ``load_parts`` (list): the parts of the model, such as ``'backbone'``, that training takes from ``load_from``;
    - ``model_wrapper_cfg=dict(type='FSDP2')``: parameters are sharded among the ranks, see
      :class:`soho.engine.fsdp.FSDP2`;
    - ``resume='auto'``: training goes on from the newest sound checkpoint in the work dir, and where there is none
      begins as without it, ``load_from`` included. ``True`` goes on from ``load_from``.

    Args:
        *args: See ``mmengine.runner.Runner``.
        trains: Whether this runner is going to train: it then holds the work dir before it writes anything there.
        **kwargs: See ``mmengine.runner.Runner``.
    """

    _datasets: dict[str, Dataset] = {}  # opened before the rest, by split
    _compiled = False

    def __init__(self, *args, trains: bool = False, **kwargs) -> None:
        use_safe_loading()
        import_parts()
        self._trains = trains
        super().__init__(*args, **kwargs)
        self.stopping = Stopping(_limit(self.cfg.get('env_cfg')))

    @classmethod
    def from_cfg(cls, cfg: Config, splits: Sequence[str] = ()) -> 'Runner':
        """A runner of a config.

        Args:
            cfg: The config.
            splits: Whose data are opened, and checked against the model, before anything else is built or written;
                ``'train'``, ``'val'``, ``'test'``.
        """
        import_parts()
        check_sharding(cfg)
        check_folder(cfg.work_dir)
        datasets = open_datasets(cfg, splits) if splits else {}
        with name_full_disk(cfg.work_dir):
            # mmengine's function only calls the class that it is given.
            runner = MMEngineRunner.from_cfg.__func__(partial(cls, trains='train' in splits), cfg)
        assert isinstance(runner, cls)
        runner._datasets = datasets
        return runner

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """As mmengine, which can only start a process group on GPUs.

        For machines without a GPU ``env_cfg`` may hold ``cpu_threads`` (int), ``onednn_products`` and
        ``keep_freed_memory`` (bool), see :mod:`soho.platform`.
        """
        limit = _limit(env_cfg)
        if not torch.accelerator.is_available():
            use_cpu_threads(env_cfg.get('cpu_threads'))
            if env_cfg.get('onednn_products', False):
                use_onednn_products()
            if env_cfg.get('keep_freed_memory', False):
                keep_freed_memory()
        if self.distributed and not torch.distributed.is_initialized():
            name_ranks(self._launcher)
            init_gloo(limit)
            if torch.cuda.is_available():
                # NCCL ends the process and names nobody: it waits longer than those who name whom they wait for.
                dist_cfg = dict(env_cfg.get('dist_cfg') or {}, timeout=(limit or LIMIT) + 3 * ANSWER_TIMEOUT)
                env_cfg = dict(env_cfg, dist_cfg=dist_cfg)
        super().setup_env(env_cfg)
        prepare_ranks(limit)
        if self._trains:  # the ranks know who they are, and nothing has been written yet
            self._lock_folders()

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """As mmengine, but a log that cannot be written ends the run with a sentence instead of many tracebacks."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.handleError = partial(_refuse_log, handler)
        return logger

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """To its device and, with several processes, into ``MMDistributedDataParallel`` or the configured wrapper.

        Args:
            model_wrapper_cfg: Type and arguments of the wrapper; what it leaves out is as without it.
            model: The model.
        """
        if is_model_wrapper(model) or not self.distributed:
            return super().wrap_model(model_wrapper_cfg, model)
        model = synchronize_parts(model, self.cfg.get('sync_bn', False))
        wrapper = dict(dict(type='MMDistributedDataParallel'), **(model_wrapper_cfg or {}))
        make = MODEL_WRAPPERS.get(wrapper['type'])
        if make is None:
            raise UserError(
                f'model_wrapper_cfg of the config is of the type {wrapper["type"]}, which nobody has registered'
            )
        options: dict[str, Any] = dict(module=model)
        device_ids = None
        if torch.cuda.is_available() and not issubclass(make, FSDP2):  # of which no device may hold the whole
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

    def _init_model_weights(self) -> None:
        """As mmengine; then the model is sharded among the ranks where the config says so."""
        super()._init_model_weights()
        self._shard_model()

    def _shard_model(self) -> None:
        """Shard an :class:`FSDP2` model, once its first weights are drawn: the same ones as without it."""
        if not isinstance(self.model, FSDP2):
            return
        new, wrappers = self.model.shard(), self.optim_wrapper
        if isinstance(wrappers, OptimWrapperDict):
            for wrapper in wrappers.optim_wrappers.values():
                exchange_parameters(wrapper.optimizer, new)
        elif isinstance(wrappers, MMEngineOptimWrapper):
            exchange_parameters(wrappers.optimizer, new)

    def load_or_resume(self) -> None:
        if not self._has_loaded:
            self._shard_model()  # which a test does not begin with
        super().load_or_resume()

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """As mmengine; with ``diff_rank_seed`` ranks draw different dropout masks, and :attr:`seed` is still shared."""
        super().set_randomness(seed, diff_rank_seed, deterministic)
        if diff_rank_seed:
            self._seed -= self.rank

    @staticmethod
    def build_dataloader(
        dataloader: torch.utils.data.DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> torch.utils.data.DataLoader:
        """As mmengine, but samplers of all ranks have the run's seed, whatever ``diff_rank_seed``.

        Workers start by :func:`soho.datasets.workers.init_worker` unless the config names another, and one that has
        not delivered for ``timeout`` seconds, by default half an hour, ends the run. Without workers the settings
        that are theirs are left out, which torch would refuse.
        """
        import_parts()  # a loader can be built without a runner
        if isinstance(dataloader, dict):
            dataloader = dict(dict(worker_init_fn=dict(type='init_worker')), **dataloader)
            if dataloader.get('num_workers'):
                dataloader.setdefault('timeout', WORKER_TIMEOUT)
            else:
                for key in OF_WORKERS:
                    dataloader.pop(key, None)
        return DataLoader.adopt(MMEngineRunner.build_dataloader(dataloader, seed))

    def build_train_loop(self, loop: Any) -> BaseLoop:
        """As mmengine, with this project's loops where the config has ``by_epoch`` and no type."""
        self._train_dataloader = self._use_opened('train', self._train_dataloader)
        if isinstance(loop, dict) and 'type' not in loop:
            loop = dict(loop)
            loop['type'] = EpochBasedTrainLoop if loop.pop('by_epoch', True) else IterBasedTrainLoop
        return self._checked(super().build_train_loop(loop), 'train')

    def build_val_loop(self, loop: Any) -> BaseLoop:
        self._val_dataloader = self._use_opened('val', self._val_dataloader)
        return self._checked(super().build_val_loop(loop), 'val')

    def build_test_loop(self, loop: Any) -> BaseLoop:
        self._test_dataloader = self._use_opened('test', self._test_dataloader)
        return self._checked(super().build_test_loop(loop), 'test')

    def _use_opened(self, split: str, dataloader: Any) -> Any:
        """The loader's config with the data set that is open already, in a function, which is never copied."""
        if split not in self._datasets or not isinstance(dataloader, dict):
            return dataloader
        dataset = self._datasets[split]
        return dict(dataloader, dataset=dict(type=lambda: dataset))

    def _checked(self, loop: BaseLoop, split: str) -> BaseLoop:
        """Let every head look at the data before the first step, of which there has to be one."""
        DataLoader.adopt(loop.dataloader).source = f'{split}_dataloader'
        source = f'{split}_dataloader of the config'
        if split not in self._datasets:
            mode = 'loss' if split == 'train' else 'predict'
            check_data(unwrap_model(self.model), loop.dataloader.dataset, mode, source)
        check_steps(loop, source, self.rank)
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
        if fn_name in ('after_val_iter', 'after_test_iter'):
            note_progress()
        if fn_name == 'after_val_iter':
            self.stopping.after_evaluation_batch(kwargs['batch_idx'])

    def train(self) -> nn.Module:
        """Train, as the only run in the work dir and in the folder of its checkpoints.

        Raises:
            UserError: Another run trains there.
            Stopped: A signal has stopped it, and it has saved its state, see :mod:`soho.engine.stopping`.
        """
        with self._name_culprit(), self._locks as stack:
            self._lock_folders()
            if self.rank == 0:
                super().dump_config()
            stack.enter_context(self.stopping)
            stack.enter_context(self.writer)
            # Constants of a model may be infinite, such as the mask of an attention.
            self._infinite_buffers = nonfinite_tensors(dict(unwrap_model(self.model).named_buffers()), 'state_dict')
            stack.callback(self.visualizer.close)  # whatever happens, the log is whole
            return super().train()

    def dump_config(self) -> None:
        """Leave the config in the work dir as it is: mmengine writes it over that of a run before it is known whether
        this one may train there, and for a test as well. :meth:`train` writes it.
        """

    def test(self) -> dict[str, float]:
        """Evaluate; the checkpoint has to fill the whole model."""
        self._whole_model = True
        self._maybe_compile('test_step')
        with self._name_culprit():
            return super().test()

    @contextmanager
    def _name_culprit(self) -> Generator[None, None, None]:
        """Context in which an error that follows from another process says which one, and what became of it.

        Raises:
            TrainingError: In place of what torch says.
        """
        try:
            with name_full_disk(self.work_dir):
                yield
        except TrainingError:
            raise
        except RuntimeError as error:
            loaders = [
                getattr(loop, 'dataloader', None) for loop in (self._train_loop, self._val_loop, self._test_loop)
            ]
            named = [loader.name_worker(error) for loader in loaders if isinstance(loader, DataLoader)]
            culprit = next(filter(None, named), None) or name_absent(error)
            if culprit is None:
                raise
            raise culprit from error


def _refuse_log(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    """What a log does that could not write a line, in place of a traceback of each."""
    error = sys.exc_info()[1]
    if not isinstance(error, OSError):
        logging.FileHandler.handleError(handler, record)
        return
    handler.setLevel(logging.CRITICAL + 1)  # so that others can say how the run ends
    with suppress(OSError):
        handler.close()
    raise make_write_error(f'the log {handler.baseFilename}', error) from error


def _limit(env_cfg: dict[str, Any] | None) -> float | None:
    """Seconds that ranks wait for one another, ``env_cfg.dist_cfg.timeout``, where the config says so."""
    return ((env_cfg or {}).get('dist_cfg') or {}).get('timeout')
