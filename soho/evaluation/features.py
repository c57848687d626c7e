"""Feature extraction: one vector per image from a frozen CNN."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch import Tensor, nn

from soho.datasets.collate import collate
from soho.datasets.concat import AnyDataset
from soho.datasets.loader import WORKER_TIMEOUT, DataLoader
from soho.errors import UserError
from soho.models.preprocessor import ImageTextPreprocessor
from soho.platform import is_emulated
from soho.registry import DATASETS

Progress = Callable[[int, int], None]


def center_crop_pipeline(resize: int = 256, crop: int = 224) -> list[dict[str, Any]]:
    """Pipeline of evaluations on frozen features: resize the short edge, crop the centre."""
    return [
        dict(type='LoadImage'),
        dict(type='ResizeShortEdge', size=resize),
        dict(type='CenterCrop', size=crop),
        dict(type='PackSample', keys=['attribute_labels']),
    ]


def build_dataset(config: dict[str, Any], pipeline: list[dict[str, Any]]) -> AnyDataset:
    """Build a dataset in test mode with ``pipeline`` instead of its own."""
    return DATASETS.build(ConfigDict(config, pipeline=pipeline, test_mode=True, _scope_='soho'))


def extract(
    backbone: nn.Module,
    dataset: AnyDataset,
    batch_size: int = 128,
    workers: int = 4,
    device: str | torch.device = 'cpu',
    amp: bool = False,
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    """L2-normalised mean of the last feature map of every image, in the dataset's order.

    Args:
        backbone: CNN in eval mode; image -> tuple of feature maps.
        dataset: Dataset with ``image``, all of one size, and ``attribute_labels``.
        batch_size: Images per batch; affects results by rounding only.
        workers: Worker processes of the data loader.
        device: Device of the CNN.
        amp: Mixed precision in the CNN, float16 on a GPU and bfloat16 on a CPU that has it; the rest is float32.
        dtype: Dtype of the stored features; float16 takes half the memory, 5.2 GB for ImageNet's 1.28 million of 2,048.
        progress: Called with the number of images done and the total.

    Returns:
        Features (N, C) and labels (N, G) int64, on the CPU.

    Raises:
        UserError: Images differ in size.
    """
    device = torch.device(device)
    backbone = backbone.to(device)
    preprocess = ImageTextPreprocessor().to(device)
    half = torch.float16 if device.type == 'cuda' else torch.bfloat16
    amp = amp and not is_emulated(half, device.type)
    loader = DataLoader(
        dataset,
        batch_size,
        num_workers=workers,
        timeout=WORKER_TIMEOUT if workers else 0,
        pin_memory=device.type == 'cuda',
        collate_fn=functools.partial(collate, size_divisor=1),
    )
    features, labels, done = None, [], 0
    for batch in loader:
        if (batch['image_size'] != torch.tensor(batch['image'].shape[-2:])).any():
            raise UserError(
                'features are compared between images of one size, but those of a batch differ: the '
                'pipeline must end in a crop, as ResizeShortEdge and CenterCrop do'
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
    assert features is not None  # a data set has at least one image
    return features, torch.cat(labels)
