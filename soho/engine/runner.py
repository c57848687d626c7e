"""mmengine's runner with what this project needs differently."""
import os
from typing import Any, Callable, Dict, Optional, Union

import torch
import torch.distributed
from mmengine.model import MMDistributedDataParallel, is_model_wrapper
from mmengine.runner import Runner as MMEngineRunner
from torch import nn

from soho.engine.checkpoint import from_plain, load_weights, read_checkpoint, state_dict_of, to_plain
from soho.models.sync_bn import convert_sync_batchnorm
from soho.registry import RUNNERS


@RUNNERS.register_module(force=True)
class Runner(MMEngineRunner):
    """Checkpoints are plain data, batch-norm is synchronised, and gloo serves machines without a GPU.

    Besides mmengine's keys the config may hold ``sync_bn`` (bool): statistics
    of every batch-norm over all ranks.
    """

    _whole_model = False  # fine-tuning starts from a checkpoint that has other heads

    def setup_env(self, env_cfg: Dict[str, Any]) -> None:
        """As mmengine, which can only start a process group on GPUs."""
        if self.distributed and not torch.cuda.is_available() and not torch.distributed.is_initialized():
            if self._launcher != 'pytorch':
                raise ValueError(f'launcher {self._launcher!r} needs GPUs; without one use torchrun '
                                 '(--launcher pytorch)')
            torch.distributed.init_process_group('gloo')
        super().setup_env(env_cfg)

    def wrap_model(self, model_wrapper_cfg: Optional[dict], model: nn.Module) -> nn.Module:
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
        # Synchronised statistics and the dictionary are equal on all ranks by themselves.
        return MMDistributedDataParallel(
            model, device_ids=device_ids, broadcast_buffers=False, gradient_as_bucket_view=True)

    def call_hook(self, fn_name: str, **kwargs) -> None:
        super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_save_checkpoint':
            checkpoint = kwargs['checkpoint']
            for key, value in checkpoint.items():
                checkpoint[key] = to_plain(value)

    def test(self) -> Dict[str, float]:
        """Evaluate; the checkpoint has to fill the whole model."""
        self._whole_model = True
        return super().test()

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Go on where a run stopped; the checkpoint has to fill the whole model."""
        self._whole_model = True
        super().resume(filename, *args, **kwargs)

    def load_checkpoint(self,
                        filename: str,
                        map_location: Union[str, Callable] = 'cpu',
                        strict: bool = False,
                        revise_keys: Any = None) -> Dict[str, Any]:
        """Read safely, lay over the model, and say what was taken and what was not.

        Args:
            filename: A file, ``http(s)://`` or ``torchvision://``.
            map_location: Where tensors go.
            strict: Demand every entry of the model, as testing and resuming do.
            revise_keys: Ignored; foreign layouts are known by their contents.

        Raises:
            soho.engine.checkpoint.CheckpointError: It does not fit.
        """
        checkpoint = read_checkpoint(filename, map_location)
        if 'message_hub' in checkpoint:
            checkpoint['message_hub'] = from_plain(checkpoint['message_hub'])
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        report = load_weights(model, state_dict_of(checkpoint), filename, strict or self._whole_model)
        self._has_loaded = True
        self.logger.info(f'{filename}: {report}')
        return checkpoint
