"""Tokenization and masking of SOHO's sentences, and packing of the sample."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from soho.datasets.batch import MODEL_INPUTS
from soho.datasets.tokenizer import BertTokenizer
from soho.registry import TRANSFORMS


@TRANSFORMS.register_module()
class Tokenize(BaseTransform):
    """Tokenize ``sentences`` (S texts) to ``input_ids`` and ``attention_mask``, int64 (S, L).

    If the dataset has prepared ``tokens`` and no transform has changed the sentences of its
    ``sentence_rows``, they are only padded.

    Args:
        tokenizer: Arguments of :class:`soho.datasets.tokenizer.BertTokenizer`.
    """

    def __init__(self, tokenizer: dict[str, Any]) -> None:
        self.tokenizer = BertTokenizer(**tokenizer)

    def transform(self, results: dict) -> dict:
        tokens, rows = results.get('tokens'), results.get('sentence_rows')
        if tokens is None or rows is None:
            ids = self.tokenizer(results['sentences'])
        else:
            ids = self.tokenizer.pad([tokens[row] for row in rows])
        results['input_ids'], results['attention_mask'] = ids
        return results


@TRANSFORMS.register_module()
class MaskTokens(BaseTransform):
    """BERT's masking: 80 % of the chosen tokens become [MASK], 10 % a random token, 10 % are kept.

    Writes ``mlm_labels`` (S, L) int64: the original token at chosen positions,
    -100 elsewhere. Special tokens are never chosen. Source: arXiv:1810.04805,
    section 3.1.

    Args:
        tokenizer: See :class:`Tokenize`.
        prob: Probability that a token is chosen.
        mask_unknown: Known bug of the release: only [CLS], [SEP] and padding
            are exempt, so that [UNK], and [MASK] written in a sentence, become
            targets. By default they do not, so that the model is not trained
            to predict [UNK].
    """

    def __init__(self, tokenizer: dict[str, Any], prob: float = 0.15, mask_unknown: bool = False) -> None:
        self.tokenizer = BertTokenizer(**tokenizer)
        self.prob = prob
        self.maskable = np.ones(len(self.tokenizer), bool)
        self.maskable[self.tokenizer.end_and_pad_ids if mask_unknown else self.tokenizer.special_ids] = False

    def transform(self, results: dict) -> dict:
        ids, rng = results['input_ids'], results['rng']
        chosen = (rng.random(ids.shape) < self.prob) & self.maskable[ids]
        action = rng.random(ids.shape)
        words = rng.integers(len(self.tokenizer), size=ids.shape)
        results['mlm_labels'] = np.where(chosen, ids, -100)
        results['input_ids'] = np.where(
            chosen & (action < 0.8), self.tokenizer.mask_id, np.where(chosen & (action >= 0.9), words, ids)
        )
        return results


@TRANSFORMS.register_module()
class DrawVisualMask(BaseTransform):
    """Sample the mask of masked visual modelling; the neck, which computes the words, applies it.

    Writes ``mvm_cell``, float32 in [0, 1): the cell whose dictionary word is
    masked, as a fraction of the valid cells ((M,) for M images); and
    ``mvm_sentences`` (S,) bool: the sentences for which it is masked.

    Args:
        prob: Probability of masking for each sentence (not for each cell);
            0.015 as published.
    """

    def __init__(self, prob: float = 0.015) -> None:
        self.prob = prob

    def transform(self, results: dict) -> dict:
        rng = results['rng']
        images = len(results['images']) if 'images' in results else None
        results['mvm_cell'] = np.float32(rng.random(images, dtype=np.float32))
        results['mvm_sentences'] = rng.random(len(results['sentences'])) < self.prob
        return results


@TRANSFORMS.register_module()
class PackSample(BaseTransform):
    """Keep the fields that go into the batch; for M images ``image`` and ``image_size`` are lists.

    Args:
        keys: Names of fields, besides the inputs of the model that the sample has (see
            :data:`soho.datasets.batch.MODEL_INPUTS`).
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = tuple(keys)

    def transform(self, results: dict) -> dict:
        packed = {key: results[key] for key in MODEL_INPUTS if key in results}
        if 'images' in results:
            packed = {key: [image[key] for image in results['images']] for key in ('image', 'image_size')} | packed
        return packed | {key: results[key] for key in self.keys}
