"""Measure what a pretrained SOHO has learnt, on the held-out pictures of its config, without any fine-tuning.

python tools/analysis/pretraining.py CONFIG CHECKPOINT [--pictures 100] [--draws 5] [--language CHECKPOINT] [--out FILE]

Three figures, in percent:

- matching: pairs told apart, half of them with the caption of another picture (chance 50);
- masked words of each kind, as the config's test evaluator counts them, with the image, by the same weights without
  it and, with --language, by a transformer that was trained without images;
- retrieval: whether the caption with the highest matching score, among all captions of --pictures pictures, is the
  picture's own (image to text), and the reverse.

Which words are masked and which captions exchanged is drawn anew --draws times; the first two figures are means. A
config without the head ``itm`` gets no matching and retrieval, one without ``mlm`` no masked words.
"""

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from soho.datasets.collate import collate
from soho.datasets.storage.json_files import write_json
from soho.engine import Runner, load_config
from soho.engine.checkpoint.load import load_weights
from soho.engine.checkpoint.read import read_checkpoint, state_dict_of
from soho.errors import UserError, exit_on_user_error
from soho.models.heads.positions import cls_positions
from soho.models.soho import SOHO
from soho.registry import DATASETS, MODELS


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path of a config of pretraining')
    parser.add_argument('checkpoint', help='path of its checkpoint')
    parser.add_argument('--pictures', type=int, default=100, help='pictures among which captions are retrieved')
    parser.add_argument('--draws', type=int, default=5, help='draws of masked words and exchanged captions')
    parser.add_argument('--language', metavar='CHECKPOINT', help='a model trained on the captions alone')
    parser.add_argument('--out', help='file for the figures')
    args = parser.parse_args(argv)
    with exit_on_user_error():
        figures, heads = {}, load(args).model.heads
        if 'itm' in heads:
            figures['retrieval'] = retrieve(args)
            figures['matching'] = test(args, keep=('itm',), mask=False)['acc_itm']
        if 'mlm' in heads:
            figures['hidden_words'] = test(args, keep=('mlm',))
            figures['hidden_words_without_image'] = test(args, keep=('mlm',), blind=args.checkpoint)
        if 'mlm' in heads and args.language:
            figures['hidden_words_of_language_model'] = test(args, keep=('mlm',), blind=args.language)
    print(json.dumps(figures, indent=1))
    if args.out:
        write_json(args.out, figures)
    return figures


def load(args: argparse.Namespace, seed: int = 0) -> Config:
    """The config, with the checkpoint and a seed."""
    cfg = load_config(args.config)
    cfg.work_dir = os.path.join(os.path.dirname(args.checkpoint), 'analysis')
    cfg.load_from, cfg.resume, cfg.randomness = args.checkpoint, False, dict(seed=seed)
    return cfg


def test(
    args: argparse.Namespace, keep: Sequence[str], mask: bool = True, blind: str | None = None
) -> dict[str, float]:
    """Metrics of the config's test evaluator, means over the draws.

    Args:
        args: Of the command line.
        keep: Heads of the model that are evaluated.
        mask: Whether words are masked.
        blind: Leave the image away, and take this checkpoint.
    """
    draws = []
    for seed in range(args.draws):
        cfg = load(args, seed)
        cfg.model.heads = {name: head for name, head in cfg.model.heads.items() if name in keep}
        if blind:
            cfg.model.backbone = cfg.model.neck = None
            cfg.load_from = blind
        if not mask:
            pipeline = [step for step in cfg.test_dataloader.dataset.pipeline if step.type != 'MaskTokens']
            for step in pipeline:
                if step.type == 'PackSample':
                    step['keys'] = [key for key in step['keys'] if key != 'mlm_labels']
            cfg.test_dataloader.dataset.pipeline = pipeline
            cfg.test_evaluator = dict(type='PretrainMetrics')
        draws.append(Runner.from_cfg(cfg).test())
    return {name: value for name, value in average(draws).items() if 'time' not in name}


@torch.inference_mode()
def retrieve(args: argparse.Namespace) -> dict[str, float]:
    """Recall at 1 in percent in both directions; mean over folds of --pictures pictures with all their captions."""
    cfg = load(args)
    model: SOHO = MODELS.build(cfg.model).eval()
    load_weights(model, state_dict_of(read_checkpoint(args.checkpoint)), args.checkpoint, strict=True)
    source = cfg.test_dataloader.dataset
    steps = [step for step in source.pipeline if step.type in ('LoadImage', 'ResizeKeepRatio', 'Tokenize')]
    dataset = DATASETS.build(dict(source, replace_prob=0.0, pipeline=[*steps, dict(type='PackSample', keys=[])]))
    if len(dataset) < args.pictures:
        raise UserError(f'--pictures {args.pictures}: the test data of {args.config} have {len(dataset)}')
    starts = range(0, len(dataset) - args.pictures + 1, args.pictures)
    folds = [recall_at_1(score(model, [dataset[i] for i in range(start, start + args.pictures)])) for start in starts]
    return dict(average(folds), folds=len(folds))


def score(model: SOHO, samples: Sequence[dict[str, Any]]) -> Tensor:
    """(B, B * S) float32 matching, as log-odds, of each of B pictures with the S captions of each."""
    batch = model.data_preprocessor(collate(samples, size_divisor=16, trim_text=True))
    visual = model.encode_image(batch['image'], batch['image_size'])
    ids, attention = (batch[key].flatten(0, 1)[None] for key in ('input_ids', 'attention_mask'))  # (1, B * S, L)
    rows = []
    for image in torch.arange(len(samples)):
        fused = model.fuse(ids, attention, visual.select(image[None]), output_positions=cls_positions(ids))
        logits = model.heads['itm'](fused).float()
        rows.append(logits[:, 1] - logits[:, 0])
    return torch.stack(rows)


def average(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each figure over those draws that have it."""
    names = sorted({name for draw in figures for name in draw})
    return {name: float(np.mean([draw[name] for draw in figures if name in draw])) for name in names}


def recall_at_1(scores: Tensor) -> dict[str, float]:
    """``image_to_text`` and ``text_to_image`` in percent, and ``chance``.

    Args:
        scores: (B, B * S) float, matching of each picture with the S captions of each picture in turn.
    """
    pictures, captions = scores.shape
    owner = torch.arange(pictures).repeat_interleave(captions // pictures)  # (B * S,)
    return dict(
        image_to_text=100.0 * (owner[scores.argmax(1)] == torch.arange(pictures)).float().mean().item(),
        text_to_image=100.0 * (scores.argmax(0) == owner).float().mean().item(),
        chance=100.0 / pictures,
    )


if __name__ == '__main__':
    main()
