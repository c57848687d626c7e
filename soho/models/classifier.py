"""A CNN that names what it sees: how the backbones of this project are trained on labels."""
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor

from soho.models.necks.positions import valid_cells
from soho.registry import MODELS

Batch = dict[str, Tensor]


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """Backbone, mean over the valid area, heads.

    Args:
        backbone: Image -> feature maps.
        heads: One config a head, by name; each reads pooled features (B, C).
        data_preprocessor: Batch -> device, normalised.
        init_cfg: mmengine's initialisation.
    """

    def __init__(self, backbone: dict, heads: dict[str, dict], data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='ImageTextPreprocessor')), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.heads = ModuleDict({name: MODELS.build(head) for name, head in heads.items()})

    def forward(self, mode: str = 'tensor', **batch: Tensor) -> dict[str, Tensor] | list[dict[str, Tensor]] | Tensor:
        """
        Args:
            mode: ``'loss'``, ``'predict'`` or ``'tensor'`` (pooled features).
            **batch: The preprocessed batch, see :mod:`soho.datasets.collate`.

        Returns:
            Losses by name; predictions, one dict of tensors for the batch in a
            list; or (B, C) features.
        """
        pooled = self.pool(batch)
        if mode == 'tensor':
            return pooled
        outputs: dict[str, Tensor] = {}
        for head in self.heads.values():
            outputs.update(getattr(head, mode)(pooled, batch))
        return outputs if mode == 'loss' else [outputs]  # mmengine's loops index what they evaluate

    def pool(self, batch: Batch) -> Tensor:
        """(B, C) mean of the last feature map over the cells that lie on the image."""
        image = batch['image']  # (B, 3, H, W)
        feature = self.backbone(image)[-1]  # (B, C, h, w)
        rows, columns = valid_cells(batch['image_size'], tuple(image.shape[-2:]), tuple(feature.shape[-2:]))
        valid = (rows[:, :, None] & columns[:, None, :]).to(feature.dtype)[:, None]  # (B, 1, h, w)
        return (feature * valid).sum((2, 3)) / valid.sum((2, 3))
