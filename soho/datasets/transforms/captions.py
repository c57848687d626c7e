"""Tokenization and masking of VirTex's captions."""

import math
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from soho.datasets.tokenizer import SentencePieceTokenizer
from soho.errors import UserError
from soho.registry import TRANSFORMS


@TRANSFORMS.register_module()
class TokenizeCaption(BaseTransform):
    """Tokenize the captions of a sample, forwards and backwards.

    Writes ``caption_tokens`` (L,) int64, ``noitpac_tokens`` (L,), the same
    reversed, [EOS] ... [SOS], and ``caption_lengths``, L. A caption that is
    too long is truncated before it is reversed. For a sample with S captions
    they are (S, L), (S, L) and (S,), shorter captions padded with 0.

    Args:
        tokenizer: Arguments of :class:`soho.datasets.tokenizer.SentencePieceTokenizer`.
    """

    def __init__(self, tokenizer: dict[str, Any]) -> None:
        self.tokenizer = SentencePieceTokenizer(**tokenizer)

    def transform(self, results: dict) -> dict:
        sentences, rows, known = results['sentences'], results.get('sentence_rows'), results.get('tokens')
        captions = (
            [self.tokenizer(sentence) for sentence in sentences]
            if known is None or rows is None
            else [known[row] for row in rows]
        )
        if len(captions) == 1:
            (tokens,) = captions
            results.update(caption_tokens=tokens, noitpac_tokens=tokens[::-1].copy(), caption_lengths=len(tokens))
            return results
        lengths = np.array([len(tokens) for tokens in captions])
        forwards, backwards = np.zeros((2, len(captions), lengths.max()), np.int64)
        for tokens, forward, backward in zip(captions, forwards, backwards):
            forward[: len(tokens)], backward[: len(tokens)] = tokens, tokens[::-1]
        results.update(caption_tokens=forwards, noitpac_tokens=backwards, caption_lengths=lengths)
        return results


@TRANSFORMS.register_module()
class LabelTokens(BaseTransform):
    """Use the caption tokens as the image's labels: ``label_set`` (L,) int64, or (S * L,) for S captions."""

    def transform(self, results: dict) -> dict:
        results['label_set'] = results['caption_tokens'].reshape(-1)
        return results


@TRANSFORMS.register_module()
class MaskCaption(BaseTransform):
    """VirTex's masking: 85 % of the chosen tokens become [MASK], 10 % a random token, 5 % are kept.

    Writes ``masked_labels`` (L,) int64: the original token at positions of
    [MASK], 0 elsewhere. As published, tokens that are replaced or kept have no
    label; the first and the last token are never chosen; a single chosen one
    is always masked. Official file: virtex/data/datasets/masked_lm.py.

    Args:
        tokenizer: See :class:`TokenizeCaption`.
        share: Fraction of the tokens that are chosen, rounded up.
        mask_prob: Probability of [MASK].
        replace_prob: Probability of a random token of the vocabulary, special ones included.

    Raises:
        UserError: In ``transform``, for a sample of several captions.
    """

    def __init__(
        self, tokenizer: dict[str, Any], share: float = 0.15, mask_prob: float = 0.85, replace_prob: float = 0.1
    ) -> None:
        self.tokenizer = SentencePieceTokenizer(**tokenizer)
        self.share = share
        self.mask_prob = mask_prob
        self.replace_prob = replace_prob

    def transform(self, results: dict) -> dict:
        rng, tokens = results['rng'], results['caption_tokens'].copy()
        if tokens.ndim > 1:
            raise UserError(
                f'MaskCaption masks tokens of one caption, but a sample has {len(tokens)}: its dataset '
                'needs sentence_group=1'
            )
        labels = np.zeros_like(tokens)
        inner = np.arange(1, len(tokens) - 1)
        chosen = rng.choice(inner, math.ceil(len(inner) * self.share), replace=False)
        for i in chosen:
            action = rng.random() if len(chosen) > 1 else 0.0
            if action <= self.mask_prob:
                labels[i], tokens[i] = tokens[i], self.tokenizer.mask_id
            elif action <= self.mask_prob + self.replace_prob:
                tokens[i] = rng.integers(len(self.tokenizer))
        results.update(caption_tokens=tokens, masked_labels=labels)
        return results
