"""Whether a run's data are for its model, said before the first step."""

from typing import Any

from torch import nn
from torch.utils.data import Dataset

from soho.datasets.batch import check_sample
from soho.errors import UserError


def check_data(model: nn.Module, dataset: Dataset, mode: str, source: str) -> None:
    """Let every head check the data that it will read.

    Args:
        model: With ``heads``, by name.
        dataset: Its first sample is read.
        mode: ``'loss'`` for training data, else ``'predict'``.
        source: What the data are, for messages, such as ``'train_dataloader of the config'``.

    Raises:
        UserError: The data are for another head: other classes, another number of images a sample, or a
            field missing that the head reads.
    """
    parts = getattr(model, 'heads', None)
    children = parts.items() if isinstance(parts, nn.ModuleDict) else ()
    heads: dict[str, Any] = {name: head for name, head in children if hasattr(head, 'required_fields')}
    metainfo: dict[str, Any] = getattr(dataset, 'metainfo', {})
    for head in heads.values():
        head.check(metainfo, source)
    images = getattr(dataset, 'num_images', None)
    sample = None
    for name, head in heads.items():
        reader = f'the head {name!r} ({type(head).__name__})'
        if images is not None and images != head.num_images:
            raise UserError(
                f'{source} has {images} image{"s" if images > 1 else ""} a sample, but {reader} reads '
                f'{head.num_images}: choose a head or a data set for it'
            )
        if sample is None:
            sample = dataset[0]
        if isinstance(sample, dict):
            check_sample(sample, head.required_fields(mode), source, reader)
