"""Questions with one true answer, sampled so that the text alone does not predict the answer.

A maker samples the answer first and then looks for a question about the image
that has it. All values of an attribute are equally likely in a scene,
and makers treat them alike, so that guessing without the picture is right about
once in as many times as there are answers.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from . import relations, words
from .scene import ATTRIBUTES, Scene, SceneObject, make_rng, pick, pick_weighted

T = TypeVar('T')

QUESTIONS_PER_IMAGE = 8
DIRECTIONS = tuple(relations.DIRECTIONS)


# Text without capital letter and question mark, and the answer; None where there is no such question about the picture.
QuestionAnswer = tuple[str, str] | None


@dataclass(frozen=True)
class Question:
    """Question about one image.

    Attributes:
        text: Text with capital letter and question mark.
        kind: A key of ``MAKERS``; written as ``question_type``.
        answer: The true answer; the official VQA normalisation leaves it as it is.
    """

    text: str
    kind: str
    answer: str

    @property
    def answer_type(self) -> str:
        """Answer type of VQA v2: 'yes/no', 'number' or 'other'."""
        if self.answer in ('yes', 'no'):
            return 'yes/no'
        return 'number' if self.answer.isdigit() else 'other'


def yes_no(truth: bool) -> str:
    """Return the answer to a question that is true or false."""
    return 'yes' if truth else 'no'


def coin(rng: np.random.Generator) -> bool:
    """Return true in half of the calls."""
    return rng.random() < 0.5


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


def description_with(
    rng: np.random.Generator, scene: Scene, names: tuple[str, ...], present: bool
) -> dict[str, str] | None:
    """Return a description in the given attributes that some object matches, or that none does.

    An absent one combines values that the picture has, where possible, so
    that colour and shape have to be seen on the same object.
    """
    if present:
        obj = pick(rng, scene.objects)
        return {attribute: getattr(obj, attribute) for attribute in names}
    mixed = len(names) > 1 and rng.random() < 0.7
    for _ in range(12):
        if mixed:
            description = {attribute: getattr(pick(rng, scene.objects), attribute) for attribute in names}
        else:
            description = {attribute: pick(rng, ATTRIBUTES[attribute]) for attribute in names}
        if not scene.find(**description):
            return description
    return None


def _existence(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
    present = coin(rng)
    description = description_with(rng, scene, _attribute_sets(rng), present)
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
    return text, yes_no(present)


def _negation(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
    absent = coin(rng)
    if rng.random() < 0.35:
        obj, direction = pick(rng, scene.objects), pick(rng, DIRECTIONS)
        if absent != relations.nothing_in_direction(scene, direction, obj):
            return None
        if not absent and not any(
            relations.lies_in_direction(scene, other, direction, obj) for other in scene.objects if other is not obj
        ):
            return None
        the_object = words.referring_expression(rng, scene, obj)
        if the_object is None:
            return None
        where = words.pick_synonym(rng, words.DIRECTION_PHRASES[direction])
        form = pick(rng, ('is there nothing {} {}', 'is nothing {} {}'))
        return form.format(where, the_object), yes_no(absent)
    description = description_with(rng, scene, _attribute_sets(rng), not absent)
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
    return text, yes_no(absent)


def _verification(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
    attribute = pick(rng, ('color', 'color', 'shape', 'texture', 'size'))
    obj = visible_object(rng, scene, attribute)
    the_object = obj and words.referring_expression(rng, scene, obj, without=attribute)
    if the_object is None:
        return None
    truth, value = coin(rng), getattr(obj, attribute)
    if not truth:
        value = pick(rng, [other for other in ATTRIBUTES[attribute] if other != value])
    return f'is {the_object} {words.predicate(rng, value)}', yes_no(truth)


def visible_object(rng: np.random.Generator, scene: Scene, attribute: str) -> SceneObject | None:
    """Return an object whose attribute can be seen: textures are visible on large objects only."""
    objects = scene.find(size='large') if attribute == 'texture' else scene.objects
    return pick(rng, objects) if objects else None


def _relation_check(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
    if len(scene.objects) < 2:
        return None
    obj, other = pick_two(rng, scene.objects)
    direction, truth = pick(rng, DIRECTIONS), coin(rng)
    if relations.lies_in_direction(scene, obj, direction, other) is not truth:
        return None
    if not truth and not relations.lies_in_direction(scene, obj, relations.OPPOSITE[direction], other):
        return None
    one, two = words.referring_expression(rng, scene, obj), words.referring_expression(rng, scene, other)
    if one is None or two is None:
        return None
    where = words.pick_synonym(rng, words.DIRECTION_PHRASES[direction])
    return f'is {one} {where} {two}', yes_no(truth)


def pick_two(rng: np.random.Generator, choices: Sequence[T]) -> tuple[T, T]:
    """Return two different elements."""
    first, second = rng.choice(len(choices), 2, replace=False)
    return choices[first], choices[second]


def _comparison(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
    attribute = pick(rng, ('shape', 'color', 'shape', 'color', 'size'))
    more, truth = pick(rng, ('more', 'fewer', 'as many')), coin(rng)
    pairs = {True: [], False: []}
    counts = {value: len(scene.find(**{attribute: value})) for value in ATTRIBUTES[attribute]}
    for one, two in itertools.permutations((value for value in counts if counts[value]), 2):
        if more == 'as many':
            pairs[counts[one] == counts[two]].append((one, two))
        elif counts[one] != counts[two]:
            pairs[(counts[one] > counts[two]) is (more == 'more')].append((one, two))
    # Without this, some pictures would allow only one answer.
    if not (pairs[True] and pairs[False]):
        return None
    one, two = (words.noun_phrase(rng, {attribute: value}, many=True) for value in pick(rng, pairs[truth]))
    return f'are there {more} {one} {"as" if more == "as many" else "than"} {two}', yes_no(truth)


# High counts are rare in scenes and therefore sampled more often.
_ANSWER_COUNTS = (0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5)


def _count(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
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
    answer = pick(rng, (2, 3, 4, 5, 6, 7) if not names else _ANSWER_COUNTS)
    if not names:
        if len(scene.objects) != answer:
            return None
        phrase = words.plural(pick(rng, words.NOUNS_FOR_ANY))
    else:
        if answer == 0:
            found = description_with(rng, scene, names, present=False)
            descriptions = [found] if found else []
        else:
            present = {tuple((attribute, getattr(obj, attribute)) for attribute in names) for obj in scene.objects}
            descriptions = [dict(values) for values in sorted(present) if len(scene.find(**dict(values))) == answer]
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
    ).format(phrase), str(answer)


ATTRIBUTE_TEXTS = {
    'color': ('what color is {}', 'what is the color of {}', 'which color does {} have'),
    'shape': ('what shape is {}', 'what is the shape of {}', 'which shape does {} have'),
    'texture': ('what pattern does {} have', 'what is the pattern of {}', 'which pattern is on {}'),
    'size': ('what size is {}', 'is {} large or small', 'how big is {}'),
}


def _attribute(attribute: str) -> Callable:
    def maker(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
        answer = pick(rng, ATTRIBUTES[attribute])
        objects = [obj for obj in scene.find(**{attribute: answer}) if attribute != 'texture' or obj.size == 'large']
        if not objects:
            return None
        the_object = words.referring_expression(rng, scene, pick(rng, objects), without=attribute)
        return None if the_object is None else (pick(rng, ATTRIBUTE_TEXTS[attribute]).format(the_object), answer)

    return maker


BACKGROUND_TEXTS = (
    'what is in the background',
    'what is the background',
    'what is behind the objects',
    'what is the background made of',
    'what do you see behind the objects',
)


def _background(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
    return pick(rng, BACKGROUND_TEXTS), scene.background


def _position(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
    answer = pick(rng, tuple(words.AREA_PHRASES))
    objects = [obj for obj in scene.objects if relations.area_of_picture(scene, obj) == answer]
    if not objects:
        return None
    the_object = words.referring_expression(rng, scene, pick(rng, objects))
    forms = ('where is {}', 'where in the picture is {}', 'in which part of the picture is {}')
    return None if the_object is None else (pick(rng, forms).format(the_object), answer)


def _relation_query(rng: np.random.Generator, scene: Scene) -> QuestionAnswer:
    attribute, direction = pick(rng, ('shape', 'shape', 'color')), pick(rng, DIRECTIONS)
    answer = pick(rng, ATTRIBUTES[attribute])
    if rng.random() < 0.3:
        obj = relations.outermost(scene, direction)
        where = words.pick_synonym(rng, words.OUTERMOST[direction])
        the_object = f'the {where} {pick(rng, words.NOUNS_FOR_ANY)}'
        plain = f'what is {the_object}'
    else:
        other = pick(rng, scene.objects)
        obj, the_other = relations.single_object(scene, direction, other), words.referring_expression(rng, scene, other)
        if the_other is None:
            return None
        where = f'{words.pick_synonym(rng, words.DIRECTION_PHRASES[direction])} {the_other}'
        the_object = f'the {pick(rng, words.NOUNS_FOR_ANY)} {where}'
        plain = f'what is {where}'
    if obj is None or getattr(obj, attribute) != answer:
        return None
    if attribute == 'color':
        return f'what color is {the_object}', answer
    return pick(rng, (plain, f'what shape is {the_object}')), answer


# Kind -> (maker, share of all questions). Shares of answer types are about those of VQA v2.
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


def make_questions(seed: int, scene: Scene) -> list[Question]:
    """Return the questions about one image, all different."""
    rng = make_rng(seed, scene.split, scene.index, 'questions')
    questions: dict[str, Question] = {}
    for _ in range(QUESTIONS_PER_IMAGE):
        kind = pick_weighted(rng, _KINDS, _CUMULATIVE)
        for _ in range(_ATTEMPTS):
            pair = MAKERS[kind][0](rng, scene)
            if pair is None:
                continue
            text = words.sentence(pair[0], '?')
            if text not in questions:
                questions[text] = Question(text, kind, pair[1])
                break
    return list(questions.values())
