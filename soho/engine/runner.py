"""mmengine's runner with what this project needs differently."""

import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

import mmengine
import torch
from mmengine.config import Config
from mmengine.dist import all_gather_object, broadcast_object_list, get_rank
from mmengine.evaluator import Evaluator
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper as MMEngineOptimWrapper
from mmengine.optim import OptimWrapperDict
from mmengine.runner import BaseLoop, save_checkpoint
from mmengine.runner import Runner as MMEngineRunner
from mmengine.utils import apply_to
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Dataset

from soho.datasets.loader import WORKER_TIMEOUT, DataLoader
from soho.engine.checkpoint.adapters.layouts import OWN_LAYOUT
from soho.engine.checkpoint.background import BackgroundWriter
from soho.engine.checkpoint.errors import CheckpointError, OtherSettingsError
from soho.engine.checkpoint.inference_spec import describe_run
from soho.engine.checkpoint.kinds import KEY, describe_kinds
from soho.engine.checkpoint.load import layout_of, load_weights
from soho.engine.checkpoint.newest import newest_checkpoint
from soho.engine.checkpoint.plain import to_plain
from soho.engine.checkpoint.read import read_checkpoint, state_dict_of
from soho.engine.checkpoint.safe_loading import use_safe_loading
from soho.engine.checkpoint.save import nonfinite_tensors, write_sharded
from soho.engine.checkpoint.train_state import AVERAGE, check_train_state, check_weights, count_gpus
from soho.engine.compile import compile_parts
from soho.engine.data_checks import check_data, check_steps, open_datasets
from soho.engine.distributed import gather_tensors, init_gloo, name_ranks, unwrap_model
from soho.engine.fsdp import FSDP2, check_sharding, exchange_parameters
from soho.engine.loops import EpochBasedTrainLoop, IterBasedTrainLoop, TrainLoop
from soho.engine.optimizers.optim_wrapper import OptimWrapper
from soho.engine.random_state import get_random_state
from soho.engine.sharding import is_divided, whole
from soho.engine.stopping import Stopping
from soho.errors import TrainingError, UserError, clip
from soho.files import folder_lock, name_full_disk, refused
from soho.models.sync_bn import synchronise_parts
from soho.platform import keep_freed_memory, use_cpu_threads, use_onednn_products
from soho.ranks import LIMIT, ROLL_CALL, name_absent, note_progress, prepare_ranks
from soho.registry import EVALUATOR, MODEL_WRAPPERS, RUNNERS, import_parts

# Settings of a loader that are for its workers.
OF_WORKERS = ('persistent_workers', 'prefetch_factor', 'multiprocessing_context', 'timeout')


@RUNNERS.register_module(force=True)
class Runner(MMEngineRunner):
    """Checkpoints are plain data, batch-norm is synchronised, and gloo serves machines without a GPU.

    Besides mmengine's keys the config may hold

    - ``sync_bn`` (bool or list): the batch-norms whose statistics are those of all ranks and not each rank's
      own: all (``True``), none (``False``, apart from layers of the type ``SyncBN``), or those of the parts that
      are named. The published SOHO synchronises ``['neck']``, the published VirTex none;
    - ``load_parts`` (list): the parts of the model, such as ``'backbone'``, that training takes from ``load_from``;
    - ``model_wrapper_cfg=dict(type='FSDP2')``: parameters are divided among the ranks, see
      :class:`soho.engine.fsdp.FSDP2`;
    - ``resume='auto'``: training goes on from the newest sound checkpoint in the work dir, and where there is none
      begins as without it, ``load_from`` included. ``True`` goes on from ``load_from``.

    Args:
        *args: See ``mmengine.runner.Runner``.
        trains: Whether this runner is going to train: it then holds the work dir before it writes anything there.
        **kwargs: See ``mmengine.runner.Runner``.
    """

    _datasets: dict[str, Dataset] = {}  # opened before the rest, by split
    _whole_model = False  # fine-tuning starts from a checkpoint that has other heads
    _resuming = False
    _infinite_buffers: list[str] = []
    _resumed: dict[str, Any] = {}  # what a checkpoint holds that mmengine does not take from it
    _compiled = False

    def __init__(self, *args, trains: bool = False, **kwargs) -> None:
        use_safe_loading()
        import_parts()
        self._trains = trains
        self._locks, self._locked = ExitStack(), set[str]()
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            self._locks.close()
            raise
        self.stopping = Stopping(_limit(self.cfg.get('env_cfg')))
        self.writer = BackgroundWriter()

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
                dist_cfg = dict(env_cfg.get('dist_cfg') or {}, timeout=(limit or LIMIT) + 3 * ROLL_CALL)
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
        model = synchronise_parts(model, self.cfg.get('sync_bn', False))
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
        """As mmengine; then the model is divided among the ranks where the config says so."""
        super()._init_model_weights()
        self._shard_model()

    def _shard_model(self) -> None:
        """Divide an :class:`FSDP2` model, once its first weights are drawn: the same ones as without it."""
        if not isinstance(self.model, FSDP2):
            return
        new, wrappers = self.model.shard(), self.optim_wrapper
        if isinstance(wrappers, OptimWrapperDict):
            for wrapper in wrappers.optim_wrappers.values():
                exchange_parameters(wrapper.optimizer, new)
        elif isinstance(wrappers, MMEngineOptimWrapper):
            exchange_parameters(wrappers.optimizer, new)

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
        if fn_name == 'before_save_checkpoint':
            checkpoint = kwargs['checkpoint']
            dataset = getattr(self.train_dataloader, 'dataset', None)
            checkpoint['meta'].update(describe_run(dataset, self.cfg.filename))
            for key, value in checkpoint.items():
                checkpoint[key] = to_plain(value)

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

    def _lock_folders(self) -> None:
        """Hold the work dir, and from when hooks are there on also the folder of checkpoints, on rank 0.

        Raises:
            UserError: Another run trains there.
        """
        if self.rank != 0:
            return
        for folder in [self.work_dir, *self._saving_folders()]:
            place = os.path.realpath(folder)
            if place not in self._locked:
                os.makedirs(folder, exist_ok=True)
                self._locks.enter_context(folder_lock(folder))
                self._locked.add(place)
                self._locks.callback(self._locked.discard, place)

    def _saving_folders(self) -> list[str]:
        """Folders in which hooks of this run write checkpoints."""
        folders = (getattr(hook, 'out_dir', None) for hook in getattr(self, '_hooks', []))
        name = os.path.basename(self.work_dir.rstrip(os.sep))
        # Hooks of mmengine write into a folder of the work dir's name in their own.
        return [os.path.join(str(folder), name) for folder in folders if folder and '://' not in str(folder)]

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

    def load_or_resume(self) -> None:
        """Go on from a checkpoint, begin with the weights of one, or do neither, see the class."""
        if self._has_loaded:
            return
        self._shard_model()  # which a test does not begin with
        if self._resume == 'auto' or (self._resume and self._load_from is None):
            self._resume = True  # which hooks look at
            if self._resume_newest():
                return
            self._resume = False
            self.logger.info(f'{self.work_dir} holds no checkpoint to go on from; the training begins')
        self._has_loaded = True
        if self._load_from is not None:
            self.resume(self._load_from) if self._resume else self.load_checkpoint(self._load_from)

    def _resume_newest(self) -> bool:
        """Go on from the newest sound checkpoint that fits; returns whether there is any.

        A damaged one is passed over, and one whose contents do not fit the run, where an older one does. Where none
        fits the run is another one, and what is wrong with the newest is said.

        Raises:
            UserError: There are checkpoints, but none to go on from.
        """
        misfits: dict[str, CheckpointError] = {}
        said: set[str] = set()
        while (filename := self._find_newest(misfits, said)) is not None:
            try:
                self.resume(filename)
            except OtherSettingsError:
                raise
            except CheckpointError as error:
                misfits[filename] = error
                continue
            for error in misfits.values():
                self.logger.warning(f'{error}; the run goes on from {filename}')
            if os.path.basename(filename).startswith('best_'):
                self.logger.warning(f'there is no other checkpoint to go on from than {filename}, which was the best')
            return True
        for error in misfits.values():
            raise error
        return False

    def _find_newest(self, without: Collection[str] = (), said: set[str] | None = None) -> str | None:
        """The newest sound checkpoint of this run but for those to leave out, which rank 0 chooses for all.

        Args:
            without: Paths to leave out.
            said: Gets what has been logged of files that are not sound, which is not said again.

        Raises:
            UserError: There are checkpoints, but none that is sound.
        """
        answer: list[Any] = [None, None]
        if self.rank == 0:
            try:
                answer[0], rejected = newest_checkpoint(self._checkpoint_folders(), without, self._load_from)
                for reason in rejected.values():
                    if answer[0] is not None and reason not in (said or ()):
                        self.logger.warning(f'{reason}; the run goes on from {answer[0]}')
                        (set() if said is None else said).add(reason)
            except UserError as error:
                answer[1] = str(error)
        broadcast_object_list(answer)
        if answer[1] is not None:
            raise UserError(answer[1])
        return answer[0]

    def _checkpoint_folders(self) -> list[str]:
        """Where this run writes checkpoints; the hook makes a folder of the work dir's name in its own."""
        others = [str(hook.out_dir) for hook in self.hooks if getattr(hook, 'out_dir', None)]
        return [self.work_dir, *others, *self._saving_folders()]

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict[str, Any] | None = None,
        by_epoch: bool = True,
        backend_args: dict | None = None,
        sharded: bool = False,
    ) -> None:
        """As mmengine, but the file is whole or not there, and holds numbers; every rank takes part.

        Tensors that ranks divide among them are gathered, one after the other, unless ``sharded`` is set. In a training
        one file is written in the background, see :class:`soho.engine.checkpoint.background.BackgroundWriter`.

        Args:
            out_dir: Folder, or the address of a storage that mmengine knows.
            filename: Name in it.
            file_client_args: Of mmengine's older storages; not used.
            save_optimizer: Whether a run can go on from it; otherwise it holds weights.
            save_param_scheduler: Whether to save the schedules, if there are any.
            meta: ``epoch`` and ``iter``, how many are done; by default those after this epoch or iteration.
            by_epoch: Whether the default of ``meta`` is that of an epoch's end.
            backend_args: Of mmengine's storages.
            sharded: Each rank writes what it holds of divided tensors, into a folder beside the file.

        Raises:
            TrainingError: A weight is infinite or not a number, or this file or the last one cannot be written.
        """
        whole_state = self._state_of_all_ranks() if save_optimizer else {}
        divided = isinstance(self.model, FSDP2)
        if self.rank != 0 and not divided:
            return
        path = os.path.join(out_dir, filename)
        checkpoint = self._state_to_save(save_optimizer, save_param_scheduler) | whole_state
        sharded = divided and sharded
        to_host = _to_host if sharded else _to_main_host
        checkpoint = apply_to(checkpoint, lambda value: isinstance(value, torch.Tensor), to_host)
        if self.rank != 0 and not sharded:
            return
        done = dict(epoch=self.epoch + by_epoch, iter=self.iter + (not by_epoch))
        checkpoint['meta'] = self._meta() | done | (meta or {})
        wrong = nonfinite_tensors({key: checkpoint.get(key) for key in ('state_dict', 'optimizer')})
        wrong = [name for name in wrong if name not in self._infinite_buffers]
        if sharded:  # each rank has looked at its part
            wrong = sorted({name for names in all_gather_object(wrong) for name in names})
        if wrong:
            raise TrainingError(
                f'{path} was not written: {wrong[0]}{f" and {len(wrong) - 1} more" if wrong[1:] else ""} would hold '
                'values that are no numbers; lower the learning rate, and go on from an older checkpoint with --resume'
            )
        if self.rank == 0:
            self.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        if sharded:
            write_sharded(checkpoint, path)
        elif '://' in path:
            save_checkpoint(checkpoint, path, backend_args=backend_args)
        else:
            self.writer.write(checkpoint, path)

    def _state_of_all_ranks(self) -> dict[str, Any]:
        """Place in the data, random generators and gathered gradients, those of all ranks on rank 0."""
        state: dict[str, Any] = dict(random_states=all_gather_object(get_random_state()))
        if isinstance(self._train_loop, TrainLoop):
            state['loop'] = self._train_loop.state_dict()
        gradients = getattr(self.optim_wrapper, 'gathered_gradients', lambda: None)()
        if gradients is not None:
            # Divided ones are means over the ranks already.
            divided = any(map(is_divided, gradients))
            state['gradients'] = [gradients] if divided else gather_tensors(gradients)
        return state

    def _meta(self) -> dict[str, Any]:
        metainfo = getattr(self.train_dataloader.dataset, 'metainfo', None)
        return dict(
            cfg=self.cfg.pretty_text,
            seed=self.seed,
            experiment_name=self.experiment_name,
            time=time.strftime('%Y%m%d_%H%M%S', time.localtime()),
            mmengine_version=mmengine.__version__,
            world_size=self.world_size,
            infinite_buffers=self._infinite_buffers,
            **({} if metainfo is None else dict(dataset_meta=metainfo)),
        )

    def _state_to_save(self, save_optimizer: bool, save_param_scheduler: bool) -> dict[str, Any]:
        """What a checkpoint holds besides ``meta``; tensors are where they are."""
        model = unwrap_model(self.model)
        checkpoint: dict[str, Any] = dict(state_dict=model.state_dict(), message_hub=self.message_hub.state_dict())
        if save_optimizer:
            wrapper: Any = self.optim_wrapper  # built, since only a training saves its optimizer
            checkpoint['optimizer'] = wrapper.state_dict()
            checkpoint[KEY] = describe_kinds(wrapper, self.param_schedulers)
        if save_param_scheduler and self.param_schedulers is not None:
            schedulers = self.param_schedulers
            checkpoint['param_schedulers'] = (
                {name: _states_of(some) for name, some in schedulers.items()}
                if isinstance(schedulers, dict)
                else _states_of(schedulers)
            )
        return checkpoint

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Go on where a run stopped; the checkpoint has to fill the whole model.

        What mmengine takes from the file beside the weights is checked in :meth:`load_checkpoint`.
        """
        self._whole_model = self._resuming = True
        drawn = self.seed
        super().resume(filename, *args, **kwargs)
        state, loop = self._resumed, self._train_loop
        if isinstance(loop, TrainLoop):
            loop.set_seed(self.seed, drawn)  # of the checkpoint, where the config has none
            states = state.get('random_states', [])
            own = states[self.rank] if self.rank < len(states) else None
            if own is None and states:  # a rank that there was not
                torch.manual_seed(self.seed + self.rank + loop.iter)
            loop.load_state_dict(state.get('loop', {}), loop.epoch, loop.iter, own)
        kinds = state.get(KEY)
        if kinds is not None and isinstance(self.optim_wrapper, OptimWrapper):
            self.optim_wrapper.set_gathered_count(kinds['optimizers']['optimizer']['gathered'])
        if 'gradients' in state and isinstance(self.optim_wrapper, OptimWrapper):
            gradients = state['gradients']
            if len(gradients) == self.world_size and not isinstance(self.model, FSDP2):
                self.optim_wrapper.set_gathered_gradients(gradients[self.rank])
            else:  # the next update takes the mean over the ranks
                means: list[Any] = [None if some[0] is None else sum(some) / len(some) for some in zip(*gradients)]
                self.optim_wrapper.set_gathered_gradients(means)
        self._resumed = {}

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
        model = unwrap_model(self.model)
        mesh = self.model.mesh if isinstance(self.model, FSDP2) else None
        place = map_location if mesh is None else 'cpu'
        whole = strict or self._whole_model
        parts = None if whole else self.cfg.get('load_parts')
        if self._resuming:
            checkpoint = self._read_resumable(filename, place, mesh)
            # Hooks take what is theirs out of the file before the model does.
            self._show_to_hooks(checkpoint, filename)
            report = load_weights(model, state_dict_of(checkpoint), filename, whole, parts)
        else:
            checkpoint = read_checkpoint(filename, place, mesh)
            # Hooks get all weights under the model's names, whatever the file has and is.
            report = load_weights(model, state_dict_of(checkpoint), filename, whole, parts)
            checkpoint = dict(checkpoint if 'state_dict' in checkpoint else {}, state_dict=model.state_dict())
            self._show_to_hooks(checkpoint, filename)
            model.load_state_dict(checkpoint['state_dict'])
        self._has_loaded = True
        beside = ', '.join(key for key in checkpoint if key != 'state_dict')
        self.logger.log(
            logging.WARNING if report.missing else logging.INFO,
            f'{filename}: {report}' + (f'; beside the weights: {beside}' if beside else ''),
        )
        return checkpoint

    def _show_to_hooks(self, checkpoint: dict[str, Any], filename: str) -> None:
        try:
            self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:  # a hook's state, damaged
            reason = clip(' '.join(str(error).split()))
            raise CheckpointError(
                f'{filename} cannot be used: a hook finds {type(error).__name__}: {reason}'
            ) from error

    def _read_resumable(self, filename: str, map_location: Any, mesh: Any) -> dict[str, Any]:
        """Read a checkpoint and check all of it before anything of the run is touched; ranks agree on what is wrong."""
        checkpoint, error = {}, None
        try:
            checkpoint = self._check_resumable(read_checkpoint(filename, map_location, mesh), filename)
        except CheckpointError as wrong:
            error = wrong
        for wrong in all_gather_object(error):
            if wrong is not None:
                raise wrong
        return checkpoint

    def _check_resumable(self, checkpoint: dict[str, Any], filename: str) -> dict[str, Any]:
        """Return the checkpoint of a run like this one, with nothing in it that mmengine would run."""
        own = unwrap_model(self.model).state_dict()
        layout = layout_of(checkpoint, own, filename)
        if layout != OWN_LAYOUT:
            raise CheckpointError(
                f'{filename} is an {layout}: a run of this project starts from its weights '
                '(load_from) but cannot go on where another program stopped'
            )
        gpus = count_gpus(checkpoint)
        if gpus not in (None, self.world_size):
            if not (self.auto_scale_lr or {}).get('enable'):
                raise OtherSettingsError(
                    f'{filename} is of a run on {gpus} GPUs, and this one has {self.world_size}: its learning rate '
                    'would be another; auto_scale_lr=dict(enable=True) scales it'
                )
            self.logger.info(f'{filename} is of a run on {gpus} GPUs; the learning rate is scaled by auto_scale_lr')
        assert self.optim_wrapper is not None, 'only training is resumed'
        self.optim_wrapper = self.build_optim_wrapper(self.optim_wrapper)
        if self.param_schedulers is not None:
            self.param_schedulers = self.build_param_scheduler(self.param_schedulers)
        checked = check_train_state(
            checkpoint,
            filename,
            self.optim_wrapper,
            self.param_schedulers,
            self._checkpoint_folders(),
            log=self.logger.warning,
        )
        seed, own_seed = checked['meta'].get('seed'), self._randomness_cfg.get('seed')
        if None not in (seed, own_seed) and seed != own_seed:
            raise OtherSettingsError(
                f'randomness.seed is {own_seed} in the config, and {filename} is of a run with the seed {seed}, whose '
                f'data come in another order: go on with randomness.seed={seed}'
            )
        if isinstance(self._train_loop, TrainLoop):
            self._train_loop.check_state_dict(checked.get('loop', {}), checked['meta']['epoch'])
        check_weights(checked, own, filename)
        average = checked.get(AVERAGE)
        averages = any(isinstance(hook, EMAHook) for hook in self.hooks)
        if average is not None and not averages:
            # What the run trains lies beside the average, which takes the place of the weights in a file.
            checked['state_dict'] = {name: average[f'module.{name}'] for name in own}
            del checked[AVERAGE]
            self.logger.warning(f'{filename} holds averaged weights, which end here: the config has no EMAHook')
        elif average is None and averages:
            self.logger.warning(f'{filename} holds no averaged weights; the average of the EMAHook begins here')
        taken = ('random_states', 'loop', 'gradients', KEY)
        self._resumed = {name: checked[name] for name in taken if name in checked}
        return checked


def _refuse_log(handler: logging.FileHandler, record: logging.LogRecord) -> None:
    """What a log does that could not write a line, in place of a traceback of each."""
    error = sys.exc_info()[1]
    if not isinstance(error, OSError):
        logging.FileHandler.handleError(handler, record)
        return
    handler.setLevel(logging.CRITICAL + 1)  # so that others can say how the run ends
    with suppress(OSError):
        handler.close()
    raise refused(f'the log {handler.baseFilename}', error) from error


def _limit(env_cfg: dict[str, Any] | None) -> float | None:
    """Seconds that ranks wait for one another, ``env_cfg.dist_cfg.timeout``, where the config says so."""
    return ((env_cfg or {}).get('dist_cfg') or {}).get('timeout')


def _to_host(value: torch.Tensor) -> torch.Tensor:
    """The tensor on the host; one that is divided where it is."""
    return value if is_divided(value) else value.cpu()


def _to_main_host(value: torch.Tensor) -> torch.Tensor | None:
    """The whole tensor on the host of rank 0; all ranks have to ask for it."""
    gathered = whole(value)
    return gathered.cpu() if get_rank() == 0 else None


def _states_of(schedulers: Any) -> list[dict[str, Any]]:
    return [scheduler.state_dict() for scheduler in schedulers]
