"""A runner whose checkpoints are whole files of plain data, and which goes on from the newest of them."""

import logging
import os
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import mmengine
import torch
from mmengine.dist import all_gather_object, broadcast_object_list, get_rank
from mmengine.hooks import EMAHook
from mmengine.runner import Runner as MMEngineRunner
from mmengine.runner import save_checkpoint
from mmengine.utils import apply_to

from soho.engine.checkpoint.adapters.layouts import OWN_LAYOUT
from soho.engine.checkpoint.background import BackgroundWriter
from soho.engine.checkpoint.errors import CheckpointError, SettingsMismatchError
from soho.engine.checkpoint.inference_spec import describe_run
from soho.engine.checkpoint.load import layout_of, load_weights
from soho.engine.checkpoint.newest import newest_checkpoint
from soho.engine.checkpoint.optimizer_types import ACCUMULATED, KEY, describe_optimizer_types
from soho.engine.checkpoint.plain_data import to_plain
from soho.engine.checkpoint.read import read_checkpoint, state_dict_of
from soho.engine.checkpoint.save import nonfinite_tensors, write_sharded
from soho.engine.checkpoint.train_state import AVERAGE, check_train_state, check_weight_shapes, count_gpus
from soho.engine.distributed import gather_tensors, unwrap_model
from soho.engine.fsdp import FSDP2
from soho.engine.loops import TrainLoop
from soho.engine.optimizers.optim_wrapper import NOT_FINITE, OptimWrapper
from soho.engine.random_state import get_random_state
from soho.engine.sharding import full_tensor, is_sharded
from soho.errors import TrainingError, UserError, clip
from soho.locks import folder_lock


class ResumableRunner(MMEngineRunner):
    """mmengine's runner with checkpoints of its own: how they are written, found, checked and gone on from.

    What a checkpoint holds and how it is read and checked is in :mod:`soho.engine.checkpoint`; this class brings it
    together with the parts of a run.

    Args:
        *args: See ``mmengine.runner.Runner``.
        **kwargs: See ``mmengine.runner.Runner``.
    """

    _whole_model = False  # fine-tuning starts from a checkpoint that has other heads
    _resuming = False
    _infinite_buffers: list[str] = []  # constants of the model, such as the mask of an attention
    _resumed: dict[str, Any] = {}  # what a checkpoint holds that mmengine does not take from it

    def __init__(self, *args, **kwargs) -> None:
        self._locks, self._locked = ExitStack(), set[str]()
        self.writer = BackgroundWriter()
        try:
            super().__init__(*args, **kwargs)
        except BaseException:
            self._locks.close()
            raise

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """As mmengine; what hooks let a checkpoint hold becomes plain data, with what inference needs of the run."""
        super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_save_checkpoint':
            checkpoint = kwargs['checkpoint']
            dataset = getattr(self.train_dataloader, 'dataset', None)
            checkpoint['meta'].update(describe_run(dataset, self.cfg.filename))
            for key, value in checkpoint.items():
                checkpoint[key] = to_plain(value)

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

        Tensors that ranks shard among them are gathered, one after the other, unless ``sharded`` is set. In a training
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
            sharded: Each rank writes what it holds of sharded tensors, into a folder beside the file.

        Raises:
            TrainingError: A weight is infinite or not a number, or this file or the last one cannot be written.
        """
        self.call_hook('before_gather_state')
        whole_state = self._state_of_all_ranks() if save_optimizer else {}
        is_fsdp = isinstance(self.model, FSDP2)
        if self.rank != 0 and not is_fsdp:
            return
        path = os.path.join(out_dir, filename)
        checkpoint = self._state_to_save(save_optimizer, save_param_scheduler) | whole_state
        sharded = is_fsdp and sharded
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
        """Place in the data, random generators, accumulated gradients and their faults, of all ranks on rank 0."""
        state: dict[str, Any] = dict(random_states=all_gather_object(get_random_state()))
        if isinstance(self._train_loop, TrainLoop):
            state['loop'] = self._train_loop.state_dict()
        gradients = getattr(self.optim_wrapper, 'accumulated_gradients', lambda: None)()
        if gradients is not None:
            wrapper: Any = self.optim_wrapper
            found = all_gather_object(wrapper.find_faults())
            kinds = {kind for _, kind in found}
            if kinds != {None}:  # the update will be skipped, and nothing that is no number is saved
                gradients = [None if gradient is None else torch.zeros_like(gradient) for gradient in gradients]
            kind = next((kind for kind in NOT_FINITE if kind in kinds), None)
            state['faults'] = dict(bad_loss=any(bad for bad, _ in found), gradients=kind)
            # Sharded ones are means over the ranks already.
            sharded = any(map(is_sharded, gradients))
            state['gradients'] = [gradients] if sharded else gather_tensors(gradients)
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
            checkpoint[KEY] = describe_optimizer_types(wrapper, self.param_schedulers)
        if save_param_scheduler and self.param_schedulers is not None:
            schedulers = self.param_schedulers
            checkpoint['param_schedulers'] = (
                {name: _states_of(some) for name, some in schedulers.items()}
                if isinstance(schedulers, dict)
                else _states_of(schedulers)
            )
        return checkpoint

    def load_or_resume(self) -> None:
        """Go on from a checkpoint, begin with the weights of one, or do neither, see the class."""
        if self._has_loaded:
            return
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
            except SettingsMismatchError:
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
        types = state.get(KEY)
        if types is not None and isinstance(self.optim_wrapper, OptimWrapper):
            self.optim_wrapper.set_accumulation_count(types['optimizers']['optimizer'][ACCUMULATED])
        if 'gradients' in state and isinstance(self.optim_wrapper, OptimWrapper):
            gradients = state['gradients']
            if len(gradients) == self.world_size and not isinstance(self.model, FSDP2):
                self.optim_wrapper.set_accumulated_gradients(gradients[self.rank])
            else:  # the next update takes the mean over the ranks
                means: list[Any] = [None if some[0] is None else sum(some) / len(some) for some in zip(*gradients)]
                self.optim_wrapper.set_accumulated_gradients(means)
            if 'faults' in state:
                self.optim_wrapper.set_faults(state['faults']['bad_loss'], state['faults']['gradients'])
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
                raise SettingsMismatchError(
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
            raise SettingsMismatchError(
                f'randomness.seed is {own_seed} in the config, and {filename} is of a run with the seed {seed}, whose '
                f'data come in another order: go on with randomness.seed={seed}'
            )
        if isinstance(self._train_loop, TrainLoop):
            self._train_loop.check_state_dict(checked.get('loop', {}), checked['meta']['epoch'])
        check_weight_shapes(checked, own, filename)
        average = checked.get(AVERAGE)
        averages = any(isinstance(hook, EMAHook) for hook in self.hooks)
        if average is not None and not averages:
            # What the run trains lies beside the average, which takes the place of the weights in a file.
            checked['state_dict'] = {name: average[f'module.{name}'] for name in own}
            del checked[AVERAGE]
            self.logger.warning(f'{filename} holds averaged weights, which end here: the config has no EMAHook')
        elif average is None and averages:
            self.logger.warning(f'{filename} holds no averaged weights; the average of the EMAHook begins here')
        taken = ('random_states', 'loop', 'gradients', 'faults', KEY)
        self._resumed = {name: checked[name] for name in taken if name in checked}
        return checked

    def _checkpoint_folders(self) -> list[str]:
        """Where this run writes checkpoints; the hook makes a folder of the work dir's name in its own."""
        others = [str(hook.out_dir) for hook in self.hooks if getattr(hook, 'out_dir', None)]
        return [self.work_dir, *others, *self._saving_folders()]

    def _saving_folders(self) -> list[str]:
        """Folders in which hooks of this run write checkpoints."""
        folders = (getattr(hook, 'out_dir', None) for hook in getattr(self, '_hooks', []))
        name = os.path.basename(self.work_dir.rstrip(os.sep))
        # Hooks of mmengine write into a folder of the work dir's name in their own.
        return [os.path.join(str(folder), name) for folder in folders if folder and '://' not in str(folder)]

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
                check_folder(folder)
                os.makedirs(folder, exist_ok=True)
                self._locks.enter_context(folder_lock(folder))
                self._locked.add(place)
                self._locks.callback(self._locked.discard, place)


def check_folder(path: str) -> None:
    """Refuse the path of a folder that cannot be made where a file is.

    Raises:
        UserError: It is that of a file, or of something below one.
    """
    there = next((place for place in [Path(path), *Path(path).parents] if os.path.lexists(place)), None)
    if there is not None and not there.is_dir():
        raise UserError(f'{path} is to be a folder of checkpoints and logs, and {there} is none: name another one')


def _to_host(value: torch.Tensor) -> torch.Tensor:
    """The tensor on the host; one that is sharded stays where it is."""
    return value if is_sharded(value) else value.cpu()


def _to_main_host(value: torch.Tensor) -> torch.Tensor | None:
    """The full tensor on the host of rank 0; all ranks have to ask for it."""
    full = full_tensor(value)
    return full.cpu() if get_rank() == 0 else None


def _states_of(schedulers: Any) -> list[dict[str, Any]]:
    return [scheduler.state_dict() for scheduler in schedulers]
