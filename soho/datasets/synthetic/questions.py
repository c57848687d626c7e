"""Questions with one true answer, chosen so that the words alone do not give it away.

A maker draws what the answer should be before it looks for a question of the
image that has it. All values of an attribute are equally likely in a scene,
and every maker treats them alike, so that what remains for a reader without
the picture is about one in as many answers as there are.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import relations, words
from .scene import ATTRIBUTES, Scene, Thing, pick, stream

QUESTIONS_PER_IMAGE = 8
DIRECTIONS = tuple(relations.DIRECTIONS)


# Text without capital and question mark, and the answer; None where the picture has no such question.
Made = tuple[str, str] | None


@dataclass(frozen=True)
class Question:
    """A question about one image.

    Attributes:
        text: As asked, with capital and question mark.
        kind: A key of ``MAKERS``; written as ``question_type``.
        answer: The true answer; the official VQA normalisation leaves it as it is.
    """

    text: str
    kind: str
    answer: str

    @property
    def answer_type(self) -> str:
        """'yes/no', 'number' or 'other', as VQA v2 names them."""
        if self.answer in ('yes', 'no'):
            return 'yes/no'
        return 'number' if self.answer.isdigit() else 'other'


def _yes_no(truth: bool) -> str:
    return 'yes' if truth else 'no'


def _coin(rng: np.random.Generator) -> bool:
    return bool(rng.random() < 0.5)


def _attribute_sets(rng: np.random.Generator) -> tuple[str, ...]:
    return pick(
        rng,
        (
            ('color', 'shape'),
            ('color', 'shape'),
            ('color', 'shape'),
            ('color',),
            ('shape',),
            ('texture', 'shape'),
            ('size', 'shape'),
            ('size', 'color'),
            ('texture', 'color'),
        ),
    )


def _description_with(
    rng: np.random.Generator, scene: Scene, names: tuple[str, ...], present: bool
) -> dict[str, str] | None:
    """A description over the given attributes that some object fits, or that none does.

    An absent one is built from values that the picture has, where it can, so
    that colour and shape have to be seen on the same object.
    """
    if present:
        thing = pick(rng, scene.things)
        return {attribute: getattr(thing, attribute) for attribute in names}
    mixed = len(names) > 1 and rng.random() < 0.7
    for _ in range(12):
        if mixed:
            description = {attribute: getattr(pick(rng, scene.things), attribute) for attribute in names}
        else:
            description = {attribute: pick(rng, ATTRIBUTES[attribute]) for attribute in names}
        if not scene.find(**description):
            return description
    return None


def _existence(rng: np.random.Generator, scene: Scene) -> Made:
    present = _coin(rng)
    description = _description_with(rng, scene, _attribute_sets(rng), present)
    if description is None:
        return None
    many = rng.random() < 0.4
    phrase = words.noun_phrase(rng, description, many)
    if many:
        forms = ('are there any {}', 'do you see any {}', 'are there {} in the picture')
    else:
        forms = ('is there {}', 'is there {} in the picture', 'can you see {}', 'does the picture show {}')
        phrase = words.with_article(phrase)
    text = pick(rng, forms).format(phrase)
    return text, _yes_no(present)


def _negation(rng: np.random.Generator, scene: Scene) -> Made:
    absent = _coin(rng)
    if rng.random() < 0.35:
        thing, direction = pick(rng, scene.things), pick(rng, DIRECTIONS)
        if absent != relations.none_at_all(scene, direction, thing):
            return None
        if not absent and not any(
            relations.lies(scene, other, direction, thing) for other in scene.things if other is not thing
        ):
            return None
        the_thing = words.reference(rng, scene, thing)
        if the_thing is None:
            return None
        where = words.name(rng, words.DIRECTION_PHRASES[direction])
        form = pick(rng, ('is there nothing {} {}', 'is nothing {} {}'))
        return form.format(where, the_thing), _yes_no(absent)
    description = _description_with(rng, scene, _attribute_sets(rng), not absent)
    if description is None:
        return None
    if set(description) == {'color'} and rng.random() < 0.6:
        text = pick(rng, ('is nothing {}', 'are none of the objects {}')).format(description['color'])
    elif rng.random() < 0.5:
        text = pick(rng, ('is there no {}', 'is it true that there is no {}')).format(
            words.noun_phrase(rng, description)
        )
    else:
        text = pick(rng, ('are there no {}', 'is the picture without {}')).format(
            words.noun_phrase(rng, description, many=True)
        )
    return text, _yes_no(absent)


def _verification(rng: np.random.Generator, scene: Scene) -> Made:
    attribute = pick(rng, ('color', 'color', 'shape', 'texture', 'size'))
    thing = _visible_thing(rng, scene, attribute)
    the_thing = thing and words.reference(rng, scene, thing, without=attribute)
    if the_thing is None:
        return None
    truth, value = _coin(rng), getattr(thing, attribute)
    if not truth:
        value = pick(rng, [other for other in ATTRIBUTES[attribute] if other != value])
    return f'is {the_thing} {words.predicate(rng, value)}', _yes_no(truth)


def _visible_thing(rng: np.random.Generator, scene: Scene, attribute: str) -> Thing | None:
    """An object whose attribute can be asked for: texture is asked of large objects only."""
    things = scene.find(size='large') if attribute == 'texture' else scene.things
    return pick(rng, things) if things else None


def _relation_check(rng: np.random.Generator, scene: Scene) -> Made:
    if len(scene.things) < 2:
        return None
    thing, other = _two(rng, scene.things)
    direction, truth = pick(rng, DIRECTIONS), _coin(rng)
    if relations.lies(scene, thing, direction, other) is not truth:
        return None
    if not truth and not relations.lies(scene, thing, relations.OPPOSITE[direction], other):
        return None
    one, two = words.reference(rng, scene, thing), words.reference(rng, scene, other)
    if one is None or two is None:
        return None
    where = words.name(rng, words.DIRECTION_PHRASES[direction])
    return f'is {one} {where} {two}', _yes_no(truth)


def _two(rng: np.random.Generator, choices: tuple) -> tuple:
    first, second = rng.choice(len(choices), 2, replace=False)
    return choices[first], choices[second]


def _comparison(rng: np.random.Generator, scene: Scene) -> Made:
    attribute = pick(rng, ('shape', 'color', 'shape', 'color', 'size'))
    more, truth = pick(rng, ('more', 'fewer', 'as many')), _coin(rng)
    pairs = {True: [], False: []}
    counts = {value: len(scene.find(**{attribute: value})) for value in ATTRIBUTES[attribute]}
    for one, two in itertools.permutations((value for value in counts if counts[value]), 2):
        if more == 'as many':
            pairs[counts[one] == counts[two]].append((one, two))
        elif counts[one] != counts[two]:
            pairs[(counts[one] > counts[two]) is (more == 'more')].append((one, two))
    # Pictures in which only one answer is possible would give it away.
    if not (pairs[True] and pairs[False]):
        return None
    one, two = (words.noun_phrase(rng, {attribute: value}, many=True) for value in pick(rng, pairs[truth]))
    return f'are there {more} {one} {"as" if more == "as many" else "than"} {two}', _yes_no(truth)


# High counts are rare in scenes, and are asked for the more often.
_WANTED_COUNTS = (0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5)


def _count(rng: np.random.Generator, scene: Scene) -> Made:
    names = pick(
        rng,
        (
            (),
            ('color',),
            ('shape',),
            ('color',),
            ('shape',),
            ('texture',),
            ('size',),
            ('color', 'shape'),
            ('size', 'shape'),
            ('size', 'color'),
        ),
    )
    wanted = pick(rng, (2, 3, 4, 5, 6, 7) if not names else _WANTED_COUNTS)
    if not names:
        if len(scene.things) != wanted:
            return None
        phrase = words.plural(pick(rng, words.NOUNS_FOR_ANY))
    else:
        if wanted == 0:
            found = _description_with(rng, scene, names, present=False)
            descriptions = [found] if found else []
        else:
            present = {tuple((attribute, getattr(thing, attribute)) for attribute in names) for thing in scene.things}
            descriptions = [dict(values) for values in sorted(present) if len(scene.find(**dict(values))) == wanted]
        if not descriptions:
            return None
        phrase = words.noun_phrase(rng, pick(rng, descriptions), many=True)
    return pick(
        rng,
        (
            'how many {} are there',
            'how many {} are in the picture',
            'how many {} can you see',
            'what is the number of {}',
        ),
    ).format(phrase), str(wanted)


_ATTRIBUTE_TEXTS = {
    'color': ('what color is {}', 'what is the color of {}', 'which color does {} have'),
    'shape': ('what shape is {}', 'what is the shape of {}', 'which shape does {} have'),
    'texture': ('what pattern does {} have', 'what is the pattern of {}', 'which pattern is on {}'),
    'size': ('what size is {}', 'is {} large or small', 'how big is {}'),
}


def _attribute(attribute: str) -> Callable:
    def maker(rng: np.random.Generator, scene: Scene) -> Made:
        wanted = pick(rng, ATTRIBUTES[attribute])
        things = [
            thing for thing in scene.find(**{attribute: wanted}) if attribute != 'texture' or thing.size == 'large'
        ]
        if not things:
            return None
        the_thing = words.reference(rng, scene, pick(rng, things), without=attribute)
        return the_thing and (pick(rng, _ATTRIBUTE_TEXTS[attribute]).format(the_thing), wanted)

    return maker


def _background(rng: np.random.Generator, scene: Scene) -> Made:
    text = pick(
        rng,
        (
            'what is in the background',
            'what is the background',
            'what is behind the objects',
            'what is the background made of',
            'what do you see behind the objects',
        ),
    )
    return text, scene.background


def _position(rng: np.random.Generator, scene: Scene) -> Made:
    wanted = pick(rng, tuple(words.AREA_PHRASES))
    things = [thing for thing in scene.things if relations.area_of_picture(scene, thing) == wanted]
    if not things:
        return None
    the_thing = words.reference(rng, scene, pick(rng, things))
    forms = ('where is {}', 'where in the picture is {}', 'in which part of the picture is {}')
    return the_thing and (pick(rng, forms).format(the_thing), wanted)


def _relation_query(rng: np.random.Generator, scene: Scene) -> Made:
    attribute, direction = pick(rng, ('shape', 'shape', 'color')), pick(rng, DIRECTIONS)
    wanted = pick(rng, ATTRIBUTES[attribute])
    if rng.random() < 0.3:
        thing = relations.outermost(scene, direction)
        where = words.name(rng, words.OUTERMOST[direction])
        the_thing = f'the {where} {pick(rng, words.NOUNS_FOR_ANY)}'
        plain = f'what is {the_thing}'
    else:
        other = pick(rng, scene.things)
        thing, the_other = relations.only_one(scene, direction, other), words.reference(rng, scene, other)
        if the_other is None:
            return None
        where = f'{words.name(rng, words.DIRECTION_PHRASES[direction])} {the_other}'
        the_thing = f'the {pick(rng, words.NOUNS_FOR_ANY)} {where}'
        plain = f'what is {where}'
    if thing is None or getattr(thing, attribute) != wanted:
        return None
    if attribute == 'color':
        return f'what color is {the_thing}', wanted
    return pick(rng, (plain, f'what shape is {the_thing}')), wanted


# Kind -> (maker, share of all questions). Shares by answer type are about those of VQA v2.
MAKERS: dict[str, tuple[Callable, float]] = {
    'existence': (_existence, 0.12),
    'negation': (_negation, 0.06),
    'verification': (_verification, 0.10),
    'relation check': (_relation_check, 0.06),
    'comparison': (_comparison, 0.04),
    'count': (_count, 0.13),
    'color': (_attribute('color'), 0.14),
    'shape': (_attribute('shape'), 0.12),
    'texture': (_attribute('texture'), 0.06),
    'size': (_attribute('size'), 0.04),
    'background': (_background, 0.05),
    'position': (_position, 0.03),
    'relation query': (_relation_query, 0.05),
}
_KINDS = tuple(MAKERS)
_CUMULATIVE = np.cumsum([share for _, share in MAKERS.values()])
_ATTEMPTS = 60


def ask(seed: int, scene: Scene) -> list[Question]:
    """The questions of one image, no text twice."""
    rng = stream(seed, scene.split, scene.index, 'questions')
    asked: dict[str, Question] = {}
    for _ in range(QUESTIONS_PER_IMAGE):
        kind = _KINDS[int(np.searchsorted(_CUMULATIVE, rng.random() * _CUMULATIVE[-1], side='right'))]
        for _ in range(_ATTEMPTS):
            made = MAKERS[kind][0](rng, scene)
            if made is None:
                continue
            text = words.sentence(made[0], '?')
            if text not in asked:
                asked[text] = Question(text, kind, made[1])
                break
    return list(asked.values())
