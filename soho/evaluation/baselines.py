"""What is reached without a look at the picture, which a model has to beat."""

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log

from soho.evaluation.captions.scores import best_constant
from soho.evaluation.captions.treebank import tokenize

MOST_CANDIDATES, MOST_PICTURES = 100, 200  # which take about a second


def warn_unless_beaten(measure: str, value: float, baseline: float, rule: str, unit: str = '') -> None:
    """Log a warning where a model is not better than what does without the picture.

    Args:
        measure: Name of the figure.
        value: The model's.
        baseline: That of the rule.
        rule: What does without, as in ``"always giving 'yes'"``.
        unit: Of both.
    """
    if value <= baseline:
        print_log(
            f'The {measure} of {value:.2f}{unit} does not beat that of {rule}, {baseline:.2f}{unit}: '
            'the model has learnt nothing from the pictures yet.',
            logger='current',
            level=logging.WARNING,
        )


def choose_constant_caption(captions: Sequence[Sequence[str]], seed: int = 0) -> str:
    """The training caption that scores best where every picture gets the same one.

    Of the 100 most frequent captions it is the one whose mean CIDEr-D on 200 training pictures is the highest.

    Args:
        captions: Of each training picture.
        seed: Of the choice of the pictures.
    """
    flat = [text for texts in captions for text in texts]
    candidates = [text for text, _ in Counter(flat).most_common(MOST_CANDIDATES)]
    chosen = np.random.default_rng(seed).permutation(len(captions))[:MOST_PICTURES]
    tokens = iter(tokenize([text for row in chosen for text in captions[row]]))
    references = [[next(tokens) for _ in captions[row]] for row in chosen]
    return candidates[best_constant(tokenize(candidates), references)]
