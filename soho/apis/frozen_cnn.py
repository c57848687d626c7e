"""A CNN that is looked at, not trained: what the tools of ``tools/transfer`` share."""

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import DictAction
from mmengine.device import get_device
from torch import Tensor
from torch.utils.data import Dataset

from soho.engine.checkpoint.backbones import load_backbone
from soho.evaluation.features import extract

REPORT = 5.0  # seconds between two lines of progress


class FrozenCNN:
    """Features of datasets from the CNN of a checkpoint.

    Args:
        checkpoint: See :func:`soho.engine.checkpoint.backbones.load_backbone`.
        options: Of the backbone's config, over what the weights tell.
        seed: Of a CNN that is ``'random'``.
        batch_size: Images at a time.
        workers: Processes that read images.
        device: By default a GPU where there is one.
        amp: Mixed precision.
        half: Store features as float16.

    Raises:
        soho.engine.checkpoint.read.CheckpointError: The file has no such CNN.
    """

    def __init__(
        self,
        checkpoint: str,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
        batch_size: int = 128,
        workers: int = 4,
        device: str | None = None,
        amp: bool = False,
        half: bool = False,
    ) -> None:
        self.backbone = load_backbone(checkpoint, options, seed)
        self.extraction = dict(
            batch_size=batch_size,
            workers=workers,
            device=device or get_device(),
            amp=amp,
            dtype=torch.float16 if half else torch.float32,
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> 'FrozenCNN':
        """As the options of :func:`add_arguments` say."""
        return cls(
            args.checkpoint, args.backbone, args.seed, args.batch_size, args.workers, args.device, args.amp, args.half
        )

    @property
    def device(self) -> str:
        return self.extraction['device']

    def features(self, dataset: Dataset, name: str) -> tuple[Tensor, Tensor]:
        """(N, C) L2-normalised features and (N, G) labels of a dataset; ``name`` is what progress calls it."""
        shown = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal shown
            if time.monotonic() - shown > REPORT or done == total:
                shown = time.monotonic()
                print(f'{name}: {done} of {total} images', file=sys.stderr, flush=True)

        return extract(self.backbone, dataset, progress=progress, **self.extraction)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``CHECKPOINT`` and how its CNN looks at images."""
    parser.add_argument(
        'checkpoint',
        help='of this project, official VirTex or SOHO, or torchvision: a file, '
        'http(s):// or torchvision://; or "random" for weights that nothing has taught',
    )
    parser.add_argument(
        '--backbone',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        default={},
        help="of the CNN's config, over what the weights tell, as in strides=1,2,2,1; a random one "
        'is a ResNet-50 unless this says otherwise, as in depth=18 num_stages=3',
    )
    parser.add_argument('--seed', type=int, default=0, help='of a random CNN')
    parser.add_argument('--batch-size', type=int, default=128)
    parser.add_argument('--workers', type=int, default=4, help='processes')
    parser.add_argument('--device', help='by default a GPU where there is one')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--half', action='store_true', help='keep features as float16, in half the memory')
    parser.add_argument('--out', metavar='FILE.json', help='write all metrics')
