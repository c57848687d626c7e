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
        word_probs: Words that are chosen with a probability of their own, as
            ``dict(words=['red', 'blue'], prob=0.4)``: those that the image
            decides teach more than those that the sentence decides.
        sentence_prob: Probability that a sentence is masked at all; the others
            stay whole, as image-text matching reads them after pretraining.
        matched_only: Targets in the sentences of the image alone
            (``itm_labels`` 1). Those of another image are masked alike, so that
            masks do not tell them apart, but the image cannot predict them. As
            in ViLBERT, arXiv:1908.02265, section 3.1.

    Raises:
        ValueError: None of the ``words`` of a group is a token of the vocabulary.
    """

    def __init__(
        self,
        tokenizer: dict[str, Any],
        prob: float = 0.15,
        mask_unknown: bool = False,
        word_probs: Sequence[dict[str, Any]] = (),
        sentence_prob: float = 1.0,
        matched_only: bool = False,
    ) -> None:
        self.tokenizer = BertTokenizer(**tokenizer)
        self.sentence_prob = sentence_prob
        self.matched_only = matched_only
        self.probs = np.full(len(self.tokenizer), prob)
        for group in word_probs:
            self.probs[self.tokenizer.ids_of_words(group['words'])] = group['prob']
        self.probs[self.tokenizer.end_and_pad_ids if mask_unknown else self.tokenizer.special_ids] = 0.0

    def transform(self, results: dict) -> dict:
        ids, rng = results['input_ids'], results['rng']
        chosen = rng.random(ids.shape) < self.probs[ids]
        action = rng.random(ids.shape)
        words = rng.integers(len(self.tokenizer), size=ids.shape)
        if self.sentence_prob < 1:
            chosen &= rng.random((len(ids), 1)) < self.sentence_prob
        targets = chosen & (results['itm_labels'] == 1)[:, None] if self.matched_only else chosen
        results['mlm_labels'] = np.where(targets, ids, -100)
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
