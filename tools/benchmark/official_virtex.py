"""Comparison with the official VirTex code, measured in turns.

The checkout of kdexd/virtex is not changed; see ``docs/benchmarks.md``.
"""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from soho.engine.checkpoint.adapters.official_virtex import to_official
from tools.benchmark.bench import Bench, Rows
from tools.benchmark.inference import Prediction
from tools.benchmark.memory import in_a_fresh_process
from tools.benchmark.official import checkout
from tools.benchmark.official_soho import FIRST, SECOND
from tools.benchmark.race import Calls, Candidate, published, published_dtype, race, rows_of
from tools.benchmark.recipes import random_batch, recipe
from tools.benchmark.training import Step, title

CONFIG = 'configs/_base_bicaptioning_R_50_L1_H1024.yaml'
STAND_INS = ('albumentations', 'lmdb', 'loguru', 'fvcore', 'fvcore.common', 'fvcore.common.config')
CAPTIONS = (1, 8)  # images captioned at once
CHECKED = dict(images=2, tokens=10)  # of the captions that have to be equal


class OfficialVirTex:
    """Official model with random weights, its optimizer, and our batch.

    Args:
        bench: Device, dtype and folder of the checkout.
        batch: Batch of :func:`tools.benchmark.recipes.random_batch` makes it.
    """

    def __init__(self, bench: Bench, batch: dict[str, Tensor]) -> None:
        folder = Path(bench.args.official_virtex)
        with checkout(folder, 'virtex', STAND_INS):
            from virtex.factories import OptimizerFactory, PretrainingModelFactory
        cfg = yaml.safe_load((folder / CONFIG).read_text())
        # What its config class adds to the file.
        cfg['MODEL']['VISUAL']['FEATURE_SIZE'] = 2048
        cfg['MODEL']['DECODER']['MAX_DECODING_STEPS'] = 30
        self.cfg = json.loads(json.dumps(cfg), object_hook=lambda values: SimpleNamespace(**values))
        self.model: nn.Module = PretrainingModelFactory.from_config(self.cfg).to(bench.device)
        self.optimizer = OptimizerFactory.from_config(self.cfg, self.model.named_parameters())
        self.scaler = torch.amp.GradScaler(bench.device.type, enabled=bench.dtype == torch.float16)
        self.bench = bench
        # Its data pipeline normalises images.
        image = (batch['image'].to(bench.device).float() - 116.0) / 57.0
        captions = {key: value.to(bench.device) for key, value in batch.items() if 'caption' in key or 'noit' in key}
        self.batch = dict(image=image, **captions)

    def gradients(self) -> None:
        """Run forward and backward."""
        self.optimizer.zero_grad()
        with self.bench.autocast():
            loss = self.model(self.batch)['loss']
        self.scaler.scale(loss).backward()

    def update(self) -> None:
        """Clip and update."""
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.OPTIM.CLIP_GRAD_NORM)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    @torch.no_grad()
    def predict(self) -> Tensor:
        """Return the captions as tokens."""
        return self.model(dict(image=self.batch['image']))['predictions']


def official_virtex(bench: Bench) -> Rows:
    """Compare the training step, its peak memory, and captions by beam search; as published, training is in float16."""
    args = bench.args
    rows = rows_of(
        title(bench, 'virtex'),
        race(
            args,
            dict(
                ours=Candidate(our_step), **published(args, 'official', their_step, dtype=published_dtype(args, True))
            ),
        ),
    )
    in_a_fresh_process(check_captions, args)
    for images in CAPTIONS:
        rows += rows_of(
            f'captions, beam 5, 30 tokens, {images} images',
            race(
                args,
                dict(
                    ours=Candidate(our_captions, (images,)),
                    **published(args, 'official', their_captions, images, dtype='float32'),
                ),
            ),
        )
    return rows


def our_step(bench: Bench) -> Calls:
    """Return our training step in two parts."""
    step = Step(bench, 'virtex', batch_of(bench, bench.args.images))
    return {FIRST: step.gradients, SECOND: step.update}


def their_step(bench: Bench) -> Calls:
    """Return the official training step in two parts."""
    official = OfficialVirTex(bench, batch_of(bench, bench.args.images))
    official.model.train()
    return {FIRST: official.gradients, SECOND: official.update}


def our_captions(bench: Bench, images: int) -> Calls:
    """Return our captioning, beam 5; with random weights all captions have 30 tokens."""
    return dict(captions=Prediction(bench, 'virtex', images))


def their_captions(bench: Bench, images: int) -> Calls:
    """Return the official captioning."""
    official = OfficialVirTex(bench, batch_of(bench, images))
    official.model.eval()
    return dict(captions=official.predict)


def check_captions(args: Any) -> None:
    """Check that both models with the same weights write the same captions.

    The check runs on the CPU in float32: on a GPU, rounding changes captions of random weights, for
    which many words are almost equally likely.

    Raises:
        RuntimeError: The captions differ.
    """
    bench = Bench(argparse.Namespace(**dict(vars(args), device='cpu', dtype='float32')), tuned=False)
    images, tokens = CHECKED.values()
    ours, theirs = Prediction(bench, 'virtex', images, fold=False), OfficialVirTex(bench, batch_of(bench, images))
    ours.model.heads['captioning'].decoder.max_steps = theirs.model.decoder.max_steps = tokens
    theirs.model.load_state_dict(to_official(ours.model.state_dict()))
    theirs.model.eval()
    theirs.batch['image'] = ours.model.data_preprocessor(ours.batch)['image'].contiguous()
    written, (expected,) = theirs.predict(), ours()
    if not written.equal(expected['tokens'][:, : written.size(1)]):
        raise RuntimeError('the captions of both models differ, so that their times cannot be compared')


def batch_of(bench: Bench, images: int) -> dict[str, Tensor]:
    """Return a random batch, the same for both."""
    return random_batch('virtex', recipe('virtex'), images, 1, bench.args.size)
