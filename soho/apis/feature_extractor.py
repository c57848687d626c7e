"""Feature vectors and maps of pictures, and the dictionary words in them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.model import BaseModel
from torch import Tensor

from soho.apis.images import ImageInput, for_images
from soho.apis.inferencer import Inferencer, Prediction, Query, Sample
from soho.apis.opening import OpenedModel
from soho.engine.checkpoint.adapters.torchvision_resnet import BLOCK
from soho.engine.checkpoint.backbones import infer_resnet_config
from soho.engine.checkpoint.inference_spec import InferenceSpec, build_model
from soho.engine.checkpoint.load import prefix_in
from soho.engine.checkpoint.read import CheckpointError
from soho.errors import UserError
from soho.evaluation.features import center_crop_pipeline
from soho.models.necks.positions import count_valid_cells
from soho.registry import INFERENCERS


@INFERENCERS.register_module()
class FeatureExtractor(Inferencer):
    """Features of pictures by the CNN of any checkpoint: of this project, official SOHO or VirTex, or torchvision.

    ``FeatureExtractor('best.pth')('a.jpg')`` returns a vector (C,), the mean of the last feature map over the picture.
    """

    command: ClassVar[str] = 'features'

    def find_spec(self, opened: OpenedModel) -> InferenceSpec:
        """The checkpoint's own preprocessing, or for one without a config that of ImageNet: 256, cropped to 224."""
        if opened.spec is not None:
            return opened.spec if opened.spec.pipeline else replace(opened.spec, pipeline=center_crop_pipeline())
        try:
            backbone = infer_resnet_config(opened.state)
        except ValueError as error:
            raise CheckpointError(f'{opened.source} cannot be used: it has no config, and {error}') from error
        # Without heads, the model is the CNN.
        return InferenceSpec(dict(type='VirTex', backbone=backbone, heads={}), center_crop_pipeline())

    def build(self, opened: OpenedModel) -> BaseModel:
        state = opened.state
        if opened.spec is None:
            prefix = prefix_in(state, [BLOCK])
            state = {f'backbone.{name[len(prefix) :]}': state[name] for name in state if name.startswith(prefix)}
        model = build_model(self.spec, state, self.source)
        if getattr(model, 'backbone', None) is None:
            raise UserError(f'{self.source} has no CNN: it works without the image')
        return model

    def __call__(
        self,
        images: Any,
        normalize: bool = False,
        maps: bool = False,
        batch_size: int | None = None,
        on_error: str | None = None,
    ) -> Any:
        """Features of pictures, float32.

        Args:
            images: One picture (see :func:`soho.apis.images.image_entries`), a list, or a folder or zip of them.
            normalize: Vectors of length 1, so that their products are cosine similarities.
            maps: The last feature map (h, w, C) of each picture instead of its mean.
            batch_size: Pictures of a batch.
            on_error: ``'raise'`` or ``'skip'`` pictures that cannot be read, see
                :func:`soho.apis.images.for_images`.

        Returns:
            (C,) for one picture and (N, C) for several, with NaN for a picture that was skipped; for a folder a dict by
            file name. With ``maps`` a map, or a list of maps, which may differ in size.

        Raises:
            soho.datasets.storage.image_store.ImageError: A picture is missing or damaged.
        """

        def extract(several: list[ImageInput], return_errors: bool) -> Iterator[Any]:
            return self.extract(several, normalize, maps, batch_size, return_errors)

        found = for_images(images, extract, on_error)
        return self._stack(found) if isinstance(found, list) and not maps else found

    @staticmethod
    def _stack(vectors: list[np.ndarray | None]) -> np.ndarray:
        """(N, C) float32, NaN where there is no vector."""
        lacking = np.full_like(next(vector for vector in vectors if vector is not None), np.nan)
        return np.stack([lacking if vector is None else vector for vector in vectors])

    def extract(
        self,
        images: Sequence[ImageInput],
        normalize: bool = False,
        maps: bool = False,
        batch_size: int | None = None,
        return_errors: bool = False,
    ) -> Iterator[Any]:
        """The features of one picture after the other; see :meth:`predict` for ``return_errors``."""
        for found in self.predict((Query([image], {}) for image in images), batch_size, return_errors):
            if isinstance(found, Exception) or maps:
                yield found
            else:
                vector = found.mean((0, 1), dtype=np.float32)
                yield vector / max(np.linalg.norm(vector), 1e-12) if normalize else vector

    @torch.inference_mode()
    def forward(self, samples: Sequence[Sample]) -> Prediction:
        """``feature`` (B, C, h, w) float32, and ``cells`` (B, 2) int64, the rows and columns on each picture."""
        batch: dict[str, Tensor] = self.collate(samples)
        size = batch['image_size'].numpy()
        batch = self.model.data_preprocessor(batch)
        with self.autocast():
            feature = self.model.backbone(batch['image'])[-1].float().cpu()
        height, width = batch['image'].shape[-2:]
        cells = count_valid_cells(size, (height, width), (feature.size(2), feature.size(3)))
        return dict(feature=feature, cells=torch.from_numpy(cells))

    def read_prediction(self, prediction: Prediction, queries: Sequence[Query]) -> list[np.ndarray]:
        """(h, w, C), the cells of each picture."""
        found = zip(prediction['feature'].numpy(), prediction['cells'].tolist())
        return [feature[:, :rows, :columns].transpose(1, 2, 0) for feature, (rows, columns) in found]
