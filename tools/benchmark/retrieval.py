"""Scoring of image-text pairs: the image encoded once, against both sides again for each pair."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.registry import init_default_scope
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from soho.engine import load_config
from soho.evaluation.pair_scores import Captions, score_images
from soho.models.heads.positions import cls_positions
from soho.paths import CONFIGS
from soho.registry import MODELS
from tools.benchmark.bench import Bench, Rows

LENGTH = 16  # tokens of a caption
SETS = {'1,000 x 5,000': (1000, 5000), '5,000 x 25,010': (5000, 25010)}


class PairScores:
    """Scores of random images with random captions.

    Args:
        bench: Device and dtype.
        config: Name of a retrieval config below configs/.
        images: Images of a batch.
        captions: Captions that they are scored with.
        size: Height and width of the images.
        options: Values of the config that replace its own, by their dotted keys.
    """

    def __init__(
        self,
        bench: Bench,
        config: str,
        images: int,
        captions: int,
        size: tuple[int, int],
        options: Mapping[str, Any] | None = None,
    ) -> None:
        cfg = load_config(str(CONFIGS / config), options)
        cfg.model.backbone.init_cfg = None
        if 'pretrained' in cfg.model.language:
            cfg.model.language.pretrained = None
        init_default_scope('soho')
        self.bench, self.captions = bench, captions
        self.model: Any = MODELS.build(cfg.model).to(bench.device).eval()
        self.head = self.model.heads['itm']
        pixels = torch.randint(0, 256, (images, 3, *size), dtype=torch.uint8)
        self.batch: dict[str, Tensor] = self.model.data_preprocessor(
            dict(image=pixels, image_size=torch.tensor([size] * images))
        )
        ids = np.random.default_rng(0).integers(1, cfg.model.language.get('vocab_size', 30522), (captions, LENGTH))
        self.tokens = Captions.of(ids, np.ones_like(ids), bench.device)

    def once(self, pairs: int = 512) -> Tensor:
        """(B, T) scores as a run computes them."""
        with self.bench.autocast():
            return score_images(self.model, self.head, self.batch, self.tokens, pairs)

    @torch.no_grad()
    def each_pair(self) -> Tensor:
        """(B, 1) scores of a caption with each image, both sides computed for these pairs alone, as a peer does."""
        images = len(self.batch['image'])
        ids = self.tokens.input_ids[:1].expand(images, 1, -1)
        with self.bench.autocast():
            visual = self.model.encode_image(self.batch['image'], self.batch['image_size'])
            features = self.model.fuse(ids, torch.ones_like(ids), visual, cls_positions(ids))
            return self.head.score(features)[:, None]


def count_flop(scores: PairScores) -> tuple[float, float]:
    """Return the operations of encoding an image and of scoring a pair."""
    totals = []
    for call in (scores.each_pair, scores.once):
        with FlopCounterMode(display=False) as counter:
            call()
        totals.append(counter.get_total_flops())
    pair = (totals[1] - totals[0]) / (scores.captions - 1)
    return totals[0] - pair, pair


def retrieval(bench: Bench) -> Rows:
    """Measure the demo's model at 96x72, and count the operations of the published one at ``--size``."""
    scores = PairScores(bench, 'demo/retrieval.py', 8, 64, (72, 96))
    once, each = bench.split([scores.once, scores.each_pair])
    rates = dict(once=8 * 64 / once, each=8 / each)
    name = 'retrieval at 72x96, 8 images a batch'
    rows = [
        (f'{name}: image encoded once', rates['once'], 'pairs/s'),
        (f'{name}: both sides again for each pair', rates['each'], 'pairs/s'),
        *(
            (f'{name}: {pairs} {what} (computed from the rate)', images * captions / rates[key] / 3600, 'h')
            for pairs, (images, captions) in SETS.items()
            for key, what in (('once', 'encoded once'), ('each', 'both sides again'))
        ),
    ]
    size = f'{bench.args.size[0]}x{bench.args.size[1]}'
    image, pair = count_flop(PairScores(bench, 'Retrieval/soho_res18_coco.py', 1, 2, bench.args.size))
    images, captions = SETS['5,000 x 25,010']
    name = f'retrieval at {size}, ResNet-18 and 3 layers'
    return [
        *rows,
        (f'{name}: an image', image / 1e9, 'GFLOP'),
        (f'{name}: a pair', pair / 1e9, 'GFLOP'),
        (f'{name}: 5,000 x 25,010, encoded once', (images * image + images * captions * pair) / 1e18, 'EFLOP'),
        (f'{name}: 5,000 x 25,010, both sides again', images * captions * (image + pair) / 1e18, 'EFLOP'),
    ]
