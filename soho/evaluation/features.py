"""What a frozen CNN makes of every image of a dataset: one vector each."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from soho.datasets.collate import collate
from soho.errors import UserError
from soho.models.preprocessor import ImageTextPreprocessor
from soho.registry import DATASETS

Progress = Callable[[int, int], None]


def center_crop_pipeline(resize: int = 256, crop: int = 224) -> list[dict[str, Any]]:
    """How an image is looked at in an evaluation: its short edge, and the square in the middle."""
    return [
        dict(type='LoadImage'),
        dict(type='ResizeShortest', size=resize),
        dict(type='CenterCrop', size=crop),
        dict(type='PackSample', keys=['attribute_labels']),
    ]


def build_dataset(config: dict[str, Any], pipeline: list[dict[str, Any]]) -> Dataset:
    """A dataset whose every sample comes once, through ``pipeline`` in place of its own."""
    return DATASETS.build(ConfigDict(config, pipeline=pipeline, test_mode=True, _scope_='soho'))


def extract(
    backbone: nn.Module,
    dataset: Dataset,
    batch_size: int = 128,
    workers: int = 4,
    device: str | torch.device = 'cpu',
    amp: bool = False,
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    """L2-normalised means over the last feature map of every image, in the dataset's order.

    Args:
        backbone: In eval mode; image -> tuple of feature maps.
        dataset: Gives ``image``, all of one size, and ``attribute_labels``.
        batch_size: Images at a time; no figure depends on it but for rounding.
        workers: Processes that read.
        device: Where the CNN computes.
        amp: Mixed precision in the CNN, float16 on a GPU and bfloat16 on a CPU; means and norms stay float32.
        dtype: Of the stored features; float16 takes half the memory, 5.2 GB for ImageNet's 1.28 million of 2,048.
        progress: Called with the number of images that are done and of all.

    Returns:
        Features (N, C) and labels (N, G) int64, on the CPU.

    Raises:
        ValueError: Images of different sizes.
    """
    device = torch.device(device)
    backbone = backbone.to(device)
    preprocess = ImageTextPreprocessor().to(device)
    half = torch.float16 if device.type == 'cuda' else torch.bfloat16
    loader = DataLoader(
        dataset,
        batch_size,
        num_workers=workers,
        pin_memory=device.type == 'cuda',
        collate_fn=functools.partial(collate, size_divisor=1),
    )
    features, labels, done = None, [], 0
    for batch in loader:
        if (batch['image_size'] != torch.tensor(batch['image'].shape[-2:])).any():
            raise UserError(
                'features are compared over images of one size, and those of a batch differ: the '
                'pipeline has to end in a crop, as ResizeShortest and CenterCrop do'
            )
        labels.append(batch['attribute_labels'])
        with torch.inference_mode():
            with torch.autocast(device.type, half, enabled=amp):
                maps = backbone(preprocess(batch)['image'])[-1]  # (B, C, h, w)
            pooled = nn.functional.normalize(maps.float().mean((2, 3)), dim=1)  # (B, C)
        if features is None:
            features = torch.empty(len(dataset), pooled.size(1), dtype=dtype)
        features[done : done + len(pooled)] = pooled.to(dtype)
        done += len(pooled)
        if progress:
            progress(done, len(dataset))
    return features, torch.cat(labels)
