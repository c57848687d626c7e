"""Statements about two pictures, true of as many pairs as they are false of, so that the text alone says nothing."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from . import words
from .scene import Scene, pick

SIDES = ('left', 'right')
PAIRS = 4
"""Pairs of pictures for a statement; of half of them it is true."""
_ATTEMPTS = 150


class PairStatement(NamedTuple):
    """A statement and the function that says whether it is true of a left and a right scene."""

    text: str
    is_true: Callable[[Scene, Scene], bool]


class StatementSet(NamedTuple):
    """A statement with ``PAIRS`` pairs of scenes and whether it is true of each."""

    text: str
    pairs: list[tuple[Scene, Scene]]
    labels: list[bool]


def _description(rng: np.random.Generator, scene: Scene) -> dict[str, str]:
    """Return a description of one of the scene's objects."""
    names = pick(rng, (('shape',), ('color',), ('color', 'shape'), ('color', 'shape'), ('size', 'color')))
    obj = pick(rng, scene.objects)
    return {name: getattr(obj, name) for name in names}


def _of_side(side: str, scenes: Sequence[Scene]) -> Scene:
    return scenes[SIDES.index(side)]


def _one_side(rng: np.random.Generator, *scenes: Scene) -> PairStatement:
    side = pick(rng, SIDES)
    description = _description(rng, pick(rng, scenes))
    thing = words.with_article(words.noun_phrase(rng, description))
    form = pick(rng, ('there is {0} in the {1} picture', 'the {1} picture shows {0}', '{0} is in the {1} picture'))
    return PairStatement(form.format(thing, side), lambda *pair: bool(_of_side(side, pair).find(**description)))


def _absent(rng: np.random.Generator, *scenes: Scene) -> PairStatement:
    side = pick(rng, SIDES)
    description = _description(rng, pick(rng, scenes))
    thing = words.noun_phrase(rng, description)
    form = pick(rng, ('there is no {0} in the {1} picture', 'no {0} is in the {1} picture'))
    return PairStatement(form.format(thing, side), lambda *pair: not _of_side(side, pair).find(**description))


def _number_of_pictures(rng: np.random.Generator, *scenes: Scene) -> PairStatement:
    description = _description(rng, pick(rng, scenes))
    thing = words.with_article(words.noun_phrase(rng, description))
    number, forms = pick(
        rng,
        (
            (2, ('both pictures show {}', 'there is {} in both pictures')),
            (1, ('only one picture shows {}', 'there is {} in only one picture')),
            (0, ('none of the pictures shows {}', 'there is {} in none of the pictures')),
        ),
    )
    return PairStatement(
        pick(rng, forms).format(thing), lambda *pair: sum(bool(scene.find(**description)) for scene in pair) == number
    )


def _count(rng: np.random.Generator, *scenes: Scene) -> PairStatement:
    side = pick(rng, SIDES)
    scene = _of_side(side, scenes)
    description = _description(rng, scene) if rng.random() < 0.7 else {}
    number = len(scene.find(**description))
    thing = words.noun_phrase(rng, description, many=number > 1)
    text = (
        f'there {"is" if number == 1 else "are"} exactly {words.number_word(rng, number)} {thing} in the {side} picture'
    )
    return PairStatement(text, lambda *pair: len(_of_side(side, pair).find(**description)) == number)


def _comparison(rng: np.random.Generator, *scenes: Scene) -> PairStatement:
    side, more = pick(rng, SIDES), pick(rng, ('more', 'fewer'))
    other = SIDES[1 - SIDES.index(side)]
    description = _description(rng, pick(rng, scenes)) if rng.random() < 0.6 else {}
    things = words.noun_phrase(rng, description, many=True)

    def is_true(*pair: Scene) -> bool:
        here, there = (len(_of_side(s, pair).find(**description)) for s in (side, other))
        return here > there if more == 'more' else here < there

    return PairStatement(f'there are {more} {things} in the {side} picture than in the {other} picture', is_true)


def _background(rng: np.random.Generator, *scenes: Scene) -> PairStatement:
    if rng.random() < 0.3:
        text = pick(rng, ('both pictures have the same background', 'the background of both pictures is the same'))
        return PairStatement(text, lambda left, right: left.background == right.background)
    side = pick(rng, SIDES)
    background = pick(rng, scenes).background
    text = f'the background of the {side} picture is {background}'
    return PairStatement(text, lambda *pair: _of_side(side, pair).background == background)


_MAKERS = (_one_side, _one_side, _absent, _number_of_pictures, _number_of_pictures, _count, _comparison, _background)


def make_statement_set(rng: np.random.Generator, scenes: Sequence[Scene]) -> StatementSet:
    """Return a statement with pairs of the scenes, true of half of them.

    Args:
        rng: Random generator.
        scenes: Scenes of one split, at least two.
    """
    while True:
        pairs: dict[bool, list[tuple[Scene, Scene]]] = {True: [], False: []}
        statement = pick(rng, _MAKERS)(rng, *_pick_pair(rng, scenes))
        for _ in range(_ATTEMPTS):
            pair = _pick_pair(rng, scenes)
            found = pairs[statement.is_true(*pair)]
            if len(found) < PAIRS // 2 and pair not in found:
                found.append(pair)
            if all(len(found) == PAIRS // 2 for found in pairs.values()):
                labeled = [(pair, label) for label, found in pairs.items() for pair in found]
                order = [labeled[i] for i in rng.permutation(len(labeled))]
                return StatementSet(
                    words.sentence(statement.text), [pair for pair, _ in order], [label for _, label in order]
                )


def _pick_pair(rng: np.random.Generator, scenes: Sequence[Scene]) -> tuple[Scene, Scene]:
    left, right = (int(number) for number in rng.integers(len(scenes), size=2))
    while left == right:
        right = int(rng.integers(len(scenes)))
    return scenes[left], scenes[right]
