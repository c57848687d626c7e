"""The official VirTex code against this one, side by side in one process.

The checkout of kdexd/virtex is not changed; see ``docs/benchmarks.md``.
"""
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from soho.benchmark.bench import Bench, Rows
from soho.benchmark.inference import Prediction
from soho.benchmark.memory import in_a_fresh_process
from soho.benchmark.official import checkout
from soho.benchmark.recipes import random_batch, recipe
from soho.benchmark.training import Step, title
from soho.engine.adapters.official_virtex import to_official

CONFIG = 'configs/_base_bicaptioning_R_50_L1_H1024.yaml'
STAND_INS = ('albumentations', 'lmdb', 'loguru', 'fvcore', 'fvcore.common', 'fvcore.common.config')
CAPTIONS = (1, 8)  # images captioned at once


class OfficialVirTex:
    """The official model with random weights, its optimizer, and our batch.

    Args:
        bench: Device, and the checkout.
        batch: As :func:`soho.benchmark.recipes.random_batch` makes it.
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
        # Images are normalised by its data pipeline, so before.
        image = (batch['image'].to(bench.device).float() - 116.0) / 57.0
        captions = {key: value.to(bench.device) for key, value in batch.items() if 'caption' in key or 'noit' in key}
        self.batch = dict(image=image, **captions)

    def gradients(self) -> None:
        self.optimizer.zero_grad()
        self.model(self.batch)['loss'].backward()

    def update(self) -> None:
        nn.utils.clip_grad_norm_(self.model.parameters(), self.cfg.OPTIM.CLIP_GRAD_NORM)
        self.optimizer.step()

    def step(self) -> None:
        self.gradients()
        self.update()

    @torch.no_grad()
    def predict(self) -> Tensor:
        return self.model(dict(image=self.batch['image']))['predictions']


def official_virtex(bench: Bench) -> Rows:
    """The training step, its peak memory, and captions by beam search."""
    rows = in_a_fresh_process(race_steps, bench.args)
    peaks = {who: in_a_fresh_process(peak_of_steps, bench.args, who) for who in ('ours', 'official')}
    name = f'{title(bench, "virtex")}, peak memory'
    rows += [(f'{name}: {who}', peak, 'GiB') for who, peak in peaks.items()]
    rows.append((f'{name}: ours of official', 100 * peaks['ours'] / peaks['official'], '%'))
    return rows + in_a_fresh_process(race_captions, bench.args)


def race_steps(args: Any) -> Rows:
    """Our step and the official one in turns."""
    bench = Bench(args)
    batch = random_batch('virtex', recipe('virtex'), args.images, 1, args.size)
    ours, theirs = Step(bench, 'virtex', batch), OfficialVirTex(bench, batch)
    theirs.model.train()
    name = title(bench, 'virtex')
    rows = bench.versus(f'{name}, whole', ours, **bench.as_published('official', theirs.step))
    ours.data()
    ours.forward()
    ours.backward()
    theirs.gradients()
    return rows + bench.versus(f'{name}, clipping and optimizer', ours.wrapper.step,
                               official=bench.with_mkl(theirs.update))


def peak_of_steps(args: Any, who: str) -> float:
    """GiB of weights, optimizer state, and three steps."""
    bench = Bench(args)
    batch = random_batch('virtex', recipe('virtex'), args.images, 1, args.size)
    step = Step(bench, 'virtex', batch) if who == 'ours' else OfficialVirTex(bench, batch).step
    for _ in range(3):
        step()
    return bench.memory.peak()


def race_captions(args: Any) -> Rows:
    """Both models with the same weights write the same captions.

    Raises:
        RuntimeError: They do not.
    """
    bench = Bench(args)
    rows: Rows = []
    for images in CAPTIONS:
        batch = random_batch('virtex', recipe('virtex'), images, 1, args.size)
        ours, theirs = Prediction(bench, 'virtex', images, fold=False), OfficialVirTex(bench, batch)
        theirs.model.load_state_dict(to_official(ours.model.state_dict()))
        theirs.model.eval()
        theirs.batch['image'] = ours.model.data_preprocessor(batch)['image'].contiguous()
        name = f'captions, beam 5, up to 30 tokens, {images} images'
        rows += bench.versus(name, ours, **bench.as_published('official', theirs.predict))
        written, (expected, ) = theirs.predict(), ours()
        if bench.dtype == torch.float32 and not written.equal(expected['tokens'][:, :written.size(1)]):
            raise RuntimeError('the captions of both models differ, so that their times cannot be compared')
    return rows
