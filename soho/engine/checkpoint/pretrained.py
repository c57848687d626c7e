"""Weights of a single part from a file: ``init_cfg=dict(type='Pretrained', checkpoint=...)``."""

from mmengine.logging import print_log
from mmengine.model import PretrainedInit as MMEnginePretrainedInit
from mmengine.model import update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from torch import nn

from soho.engine.checkpoint.load import load_part


# In mmengine's registry, so that no part is read by the other one, whatever the default scope.
@MMENGINE_WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class PretrainedInit(MMEnginePretrainedInit):
    """mmengine's initialiser of this name; foreign layouts are recognised, nothing is passed over in silence.

    The checkpoint has to fill the part. It may be the checkpoint of a whole
    model, of this project or another, in which the part is found by itself.

    Args:
        checkpoint: A file, ``http(s)://`` or ``torchvision://``.
        prefix: Take the entries below this name, where a file holds several
            such parts; by default those below which most are found.
        map_location: Where tensors go.

    Raises:
        soho.engine.checkpoint.read.CheckpointError: In use, where it does not fit.
    """

    def __init__(self, checkpoint: str, prefix: str | None = None, map_location: str = 'cpu') -> None:
        super().__init__(checkpoint, prefix, map_location)

    def __call__(self, module: nn.Module) -> None:
        report = load_part(module, self.checkpoint, self.prefix, self.map_location)
        print_log(f'{type(module).__name__} from {self.checkpoint}: {report}', 'current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())
