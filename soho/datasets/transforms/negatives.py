"""Hard negatives for image-text matching: sentences of the image that are false by one word."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from soho.datasets.tokenizer import BertTokenizer
from soho.errors import UserError
from soho.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ReplaceWord(BaseTransform):
    """Replacement of one word of a matched sentence by a word that means something else, which makes it a negative.

    A sentence of another image differs in many words, and its background or its number of objects is enough to tell;
    "a red star" against "a blue star" takes a look at the star. Changes ``input_ids`` (S, L) after ``Tokenize`` and
    sets ``itm_labels`` (S,) to 0 there. In the manner of the foils of FOIL-COCO, arXiv:1705.01359.

    Args:
        tokenizer: See :class:`Tokenize`.
        kinds: Kinds of words; each is a list of meanings, each a list of the words that have it. A word is replaced by
            one of another meaning of its kind, so that synonyms are never exchanged and grammar stays; meanings are
            equally likely, and a word that is listed twice is drawn twice as often as one that is listed once.
        prob: Probability that a matched sentence becomes a negative, if it has such a word.
        unless: Words whose sentences are left alone, such as "no", after which another word is as true.

    Raises:
        UserError: The vocabulary has no two meanings of any kind.
    """

    def __init__(
        self,
        tokenizer: dict[str, Any],
        kinds: Sequence[Sequence[Sequence[str]]],
        prob: float = 0.2,
        unless: Sequence[str] = (),
    ) -> None:
        backend = BertTokenizer(**tokenizer)
        self.prob = prob
        self.unless = backend.ids_of_words(unless, required=False)
        # Token id -> one array of ids for each other meaning of its kind.
        self.others: dict[int, list[np.ndarray]] = {}
        for kind in kinds:
            meanings = [ids for meaning in kind if len(ids := backend.ids_of_words(meaning, required=False))]
            if len(meanings) < 2:
                continue
            for number, meaning in enumerate(meanings):
                others = meanings[:number] + meanings[number + 1 :]
                self.others.update(dict.fromkeys(meaning.tolist(), others))
        if not self.others:
            raise UserError(
                'the vocabulary has no two words of different meaning of any of the kinds, so none can be replaced; '
                'they are written as the vocabulary writes them, mostly in lower case'
            )
        self.replaceable = np.zeros(len(backend), bool)
        self.replaceable[list(self.others)] = True

    def transform(self, results: dict) -> dict:
        ids, rng = results['input_ids'].copy(), results['rng']
        labels = results['itm_labels'].copy()
        drawn = rng.random(len(ids)) < self.prob
        usable = drawn & (labels == 1) & ~np.isin(ids, self.unless).any(1)
        for row in np.flatnonzero(usable):
            places = np.flatnonzero(self.replaceable[ids[row]])
            if not len(places):
                continue
            place = places[rng.integers(len(places))]
            meanings = self.others[int(ids[row, place])]
            words = meanings[rng.integers(len(meanings))]
            ids[row, place] = words[rng.integers(len(words))]
            labels[row] = 0
        results['input_ids'], results['itm_labels'] = ids, labels
        return results
