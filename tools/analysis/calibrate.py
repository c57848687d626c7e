"""Fit the temperature that makes a classifier's confidence the probability that its answer is right.

    python tools/test.py CONFIG CHECKPOINT --dump val.npz          # with the validation data as test_dataloader
    python tools/analysis/calibrate.py val.npz --answers data/coco/val_data_vqa.json \\
        --annotations data/coco/v2_mscoco_val2014_annotations.json [--out calibration.json]
        [--checkpoint CHECKPOINT CALIBRATED --head vqa]

Validation data must not have been trained on. Prints log loss and expected calibration error before and after, the
latter by two-fold cross-validation too: fitted on either half of the questions, measured on the other. ``--out`` keeps
the figures; ``--checkpoint`` writes a copy whose config holds the temperature, so that whatever is built from the
checkpoint gives calibrated confidences. Of GQA the annotations are its file of questions, such as
``testdev_balanced_questions.json``, and the head is ``gqa``. A run takes the temperature by ``--cfg-options
model.heads.vqa.temperature=T``. Answers and accuracy do not change.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config

from soho.datasets.storage.json_files import write_json
from soho.datasets.vqa import load_answer_list
from soho.engine.checkpoint.config_text import parse_config
from soho.engine.checkpoint.read import read_checkpoint
from soho.errors import UserError, exit_on_user_error
from soho.evaluation.logits import (
    SavedLogits,
    answer_confidence,
    fit_temperature,
    load_logits,
    load_questions,
    measure_calibration,
    score_logits,
)
from soho.files import atomic_path


def cross_validate(saved: SavedLogits, score: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return confidences (N,) of each half of the questions at the temperature fitted on the other."""
    half = np.random.default_rng(seed).permutation(len(score)) % 2
    confidence = np.zeros(len(score), np.float32)
    for part in (0, 1):
        fitted, measured = (
            saved._replace(question_id=saved.question_id[rows], logits=saved.logits[rows])
            for rows in (half != part, half == part)
        )
        confidence[half == part] = answer_confidence(measured, fit_temperature(fitted, score[half != part]))
    return confidence


def store_temperature(source: str, out: str, head: str, temperature: float) -> None:
    """Write a copy of a checkpoint whose config gives a head this temperature.

    Raises:
        UserError: The checkpoint has no config, or its model no such head.
    """
    checkpoint = read_checkpoint(source)
    meta = checkpoint.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    if not isinstance(meta, dict) or not isinstance(text, str):
        raise UserError(f'{source} does not say with which config it was trained, so that it cannot hold a temperature')
    try:
        config = parse_config(text)
        heads = config['model']['heads']
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'the config in {source} cannot be used: {error}') from error
    if head not in heads:
        raise UserError(f'the model of {source} has no head {head!r}; it has {", ".join(heads)}')
    heads[head]['temperature'] = temperature
    with atomic_path(out) as path:
        torch.save(dict(checkpoint, meta=dict(meta, cfg=Config(config).pretty_text)), path)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dump', metavar='DUMP.npz', help='saved logits of validation data')
    parser.add_argument('--answers', type=Path, required=True, metavar='FILE', help='annotation file: the answer list')
    parser.add_argument(
        '--annotations', type=Path, required=True, metavar='FILE', help='VQA annotations or GQA questions'
    )
    parser.add_argument('--out', type=Path, metavar='FILE.json', help='keep temperature and figures')
    parser.add_argument('--checkpoint', nargs=2, metavar=('IN', 'OUT'), help='write a checkpoint with the temperature')
    parser.add_argument('--head', default='vqa', help='name of the head in the model')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        saved = load_logits(args.dump)
        score = score_logits(saved, load_answer_list(args.answers), load_questions(args.annotations).truth)
        temperature = fit_temperature(saved, score)
        figures = {
            name: measure_calibration(confidence, score)._asdict()
            for name, confidence in (
                ('before', answer_confidence(saved, 1.0)),
                ('after', answer_confidence(saved, temperature)),
                ('cross_validated', cross_validate(saved, score)),
            )
        }
        record = dict(
            temperature=temperature, questions=len(score), accuracy=100 * float(score.mean()), dump=args.dump, **figures
        )
        if args.out:
            write_json(args.out, record, indent=1)
        if args.checkpoint:
            store_temperature(*args.checkpoint, args.head, temperature)
    print(f'temperature {temperature:.4f}, {len(score)} questions, accuracy {record["accuracy"]:.2f}')
    for name, values in figures.items():
        error = 100 * values['calibration_error']
        print(f'{name.replace("_", "-"):>15}: log loss {values["log_loss"]:.4f}, calibration error {error:.2f} %')


if __name__ == '__main__':
    main()
