"""Features of a frozen CNN, shared by the tools in ``tools/transfer``."""

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from soho.apis.sources import locate_checkpoint
from soho.datasets.concat import AnyDataset
from soho.engine import ConfigOptions
from soho.engine.checkpoint.backbones import RANDOM, load_backbone
from soho.evaluation.features import extract
from soho.platform import find_device

REPORT = 5.0  # seconds between progress lines


class FrozenCNN:
    """Extractor of image features with the CNN of a checkpoint.

    Args:
        checkpoint: See :func:`soho.engine.checkpoint.backbones.load_backbone`.
        options: Overrides of the backbone's config that is inferred from the weights.
        seed: Seed of a ``'random'`` CNN.
        batch_size: Images per batch.
        workers: Worker processes of the data loader.
        device: Device; by default a GPU if there is one.
        amp: Mixed precision.
        half: Store features as float16.

    Raises:
        soho.engine.checkpoint.read.CheckpointError: The checkpoint has no such CNN.
        UserError: There is no such device here.
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
        source = checkpoint if checkpoint == RANDOM else locate_checkpoint(checkpoint)
        self.backbone = load_backbone(source, options, seed)
        self.extraction = dict(
            batch_size=batch_size,
            workers=workers,
            device=str(find_device(device)),
            amp=amp,
            dtype=torch.float16 if half else torch.float32,
        )

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> 'FrozenCNN':
        """Build from the command-line options of :func:`add_arguments`."""
        return cls(
            args.checkpoint, args.backbone, args.seed, args.batch_size, args.workers, args.device, args.amp, args.half
        )

    @property
    def device(self) -> str:
        return self.extraction['device']

    def features(self, dataset: AnyDataset, name: str) -> tuple[Tensor, Tensor]:
        """(N, C) L2-normalised features and (N, G) labels of a dataset; ``name`` is its name in progress lines."""
        last_report = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal last_report
            if time.monotonic() - last_report > REPORT or done == total:
                last_report = time.monotonic()
                print(f'{name}: {done} of {total} images', file=sys.stderr, flush=True)

        return extract(self.backbone, dataset, progress=progress, **self.extraction)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``CHECKPOINT`` and the options of the feature extraction to a parser."""
    parser.add_argument(
        'checkpoint',
        help='checkpoint of this project, official VirTex or SOHO, or torchvision: a file, '
        'http(s):// or torchvision://; or "random" for randomly initialised weights',
    )
    parser.add_argument(
        '--backbone',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        default={},
        help="overrides of the CNN's config that is inferred from the weights, such as strides=1,2,2,1; a random "
        'CNN is a ResNet-50 by default, another one for instance depth=18 num_stages=3',
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of a random CNN')
    parser.add_argument('--batch-size', type=int, default=128)
    parser.add_argument('--workers', type=int, default=4, help='worker processes')
    parser.add_argument('--device', help='by default a GPU if there is one')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on most CPUs')
    parser.add_argument('--half', action='store_true', help='store features as float16, in half the memory')
    parser.add_argument('--out', metavar='FILE.json', help='write all metrics')
