"""Statements that follow from a picture, contradict it, or are neither, and look alike without the picture.

A statement speaks of "the star", say. It follows or is false where the picture has one star; where it has several of
which it is true of some, it is undecided which is meant, and the statement is neutral. A relation is neutral where it
is close to the border between true and false. So each sentence can be of each class.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from soho.datasets.records import ENTAILMENT_LABELS

from . import relations, words
from .scene import ATTRIBUTES, Scene, make_rng, pick

STATEMENTS_PER_LABEL = 2
_ATTEMPTS = 40


class Hypothesis(NamedTuple):
    """A sentence and one of ``ENTAILMENT_LABELS``."""

    text: str
    label: str


def _attribute(rng: np.random.Generator, scene: Scene, label: str) -> str | None:
    """Return "the star is red" for a picture with one star, or with several of different colours."""
    named, attribute = pick(
        rng, (('shape', 'color'), ('color', 'shape'), ('shape', 'texture'), ('color', 'texture'), ('shape', 'size'))
    )
    obj = pick(rng, scene.objects)
    description = {named: getattr(obj, named)}
    meant = scene.find(**description)
    if attribute == 'texture' and any(other.size == 'small' for other in meant):
        return None  # hard to see
    values = {getattr(other, attribute) for other in meant}
    if (len(meant) > 1) != (label == 'neutral') or (label == 'neutral' and len(values) == 1):
        return None
    value = getattr(obj, attribute)
    if label == 'contradiction':
        value = pick(rng, [other for other in ATTRIBUTES[attribute] if other != value])
    return f'the {words.noun_phrase(rng, description)} is {words.predicate(rng, value)}'


def _relation(rng: np.random.Generator, scene: Scene, label: str) -> str | None:
    """Return "the red star is left of the ring" for two objects of which there is one each."""
    if len(scene.objects) < 2:
        return None
    one, other = (scene.objects[i] for i in rng.choice(len(scene.objects), 2, replace=False))
    direction = pick(rng, tuple(relations.DIRECTIONS))
    truth = relations.lies_in_direction(scene, one, direction, other)
    if truth is not dict(zip(ENTAILMENT_LABELS, (False, None, True)))[label]:
        return None
    first, second = (words.referring_expression(rng, scene, obj) for obj in (one, other))
    if first is None or second is None:
        return None
    return f'{first} is {words.pick_synonym(rng, words.DIRECTION_PHRASES[direction])} {second}'


_MAKERS: tuple[Callable[[np.random.Generator, Scene, str], str | None], ...] = (_attribute, _attribute, _relation)


def make_hypotheses(seed: int, scene: Scene) -> list[Hypothesis]:
    """Return up to two different statements of each label about a picture.

    A picture of one object has no neutral one; others have as many neutral ones more as make the labels about equally
    frequent in a data set.
    """
    rng = make_rng(seed, scene.split, scene.index, 'entailment')
    found: dict[str, Hypothesis] = {}
    for label in ENTAILMENT_LABELS:
        wanted = STATEMENTS_PER_LABEL + (label == 'neutral')
        for _ in range(wanted):
            maker = pick(rng, _MAKERS)
            for _ in range(_ATTEMPTS):
                text = maker(rng, scene, label)
                text = text and words.sentence(text)
                if text and text not in found:
                    found[text] = Hypothesis(text, label)
                    break
    return list(found.values())
