"""Questions in the manner of GQA: each with the program that answers it, and the questions whose answers follow.

A maker samples the answer first, as in ``questions.py``, and returns a family: a question, the same one in other words,
and what is entailed by its answer ("What color is the star?", red: "Is the star red?", "Is there a red star?").

Source: Hudson and Manning, "GQA" (CVPR 2019, arXiv:1902.09506), sections 3.3 to 3.5.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import permutations
from typing import NamedTuple

import numpy as np

from . import relations, words
from .questions import (
    ATTRIBUTE_TEXTS,
    BACKGROUND_TEXTS,
    DIRECTIONS,
    QUESTIONS_PER_IMAGE,
    coin,
    description_with,
    pick_two,
    visible_object,
    yes_no,
)
from .scene import ATTRIBUTES, BACKGROUNDS, Scene, SceneObject, make_rng, pick, pick_weighted

_ATTEMPTS = 40
_COMMON = ('color', 'shape')
_ENDS = (('left', 'right'), ('above', 'below'))


class Step(NamedTuple):
    """A step of a program: what is done, with what, and to the results of which steps."""

    operation: str
    argument: str
    dependencies: tuple[int, ...] = ()


Program = tuple[Step, ...]


@dataclass(frozen=True)
class StructuredQuestion:
    """A question with what GQA says of it.

    Attributes:
        text: Text with capital letter and question mark.
        answer: The true answer.
        structural: ``'query'`` (open), ``'verify'``, ``'logical'``, ``'choose'`` or ``'compare'``.
        semantic: ``'obj'``, ``'attr'``, ``'cat'``, ``'rel'`` or ``'global'``.
        detailed: Name of the kind of question.
        group: What kind of thing the answer is, such as ``'color'``; ``None`` of yes and no.
        valid: The answers in the range of the question.
        program: Steps, the last of which gives the answer.
        subject: What the text says of the object whose attribute is asked for; ``None`` where none is.
    """

    text: str
    answer: str
    structural: str
    semantic: str
    detailed: str
    group: str | None
    valid: tuple[str, ...]
    program: Program
    subject: dict[str, str] | None = field(default=None, compare=False)


class Family(NamedTuple):
    """A question and what is known with its answer."""

    question: StructuredQuestion
    equivalent: list[StructuredQuestion]
    """The same in other words."""
    entailed: list[StructuredQuestion]


Maker = Callable[[np.random.Generator, Scene], Family | None]
"""A function that returns a family about a scene, or None where it finds none."""


class Target(NamedTuple):
    """The object that a question is about: how it is called, what that says of it, and how it is found."""

    phrase: str
    description: dict[str, str]
    program: Program


def _find(description: dict[str, str]) -> Program:
    """Return the steps that find what a description matches."""
    program: Program = (Step('select', description.get('shape', 'object')),)
    for name, value in description.items():
        if name != 'shape':
            program = _then(program, f'filter {name}', value)
    return program


def _then(program: Program, operation: str, argument: str) -> Program:
    return (*program, Step(operation, argument, (len(program) - 1,)))


def _both(one: Program, two: Program, operation: str, argument: str = '') -> Program:
    shifted = (step._replace(dependencies=tuple(n + len(one) for n in step.dependencies)) for step in two)
    return (*one, *shifted, Step(operation, argument, (len(one) - 1, len(one) + len(two) - 1)))


def _named(rng: np.random.Generator, scene: Scene, obj: SceneObject, without: str | None = None) -> Target | None:
    description = words.unique_description(rng, scene, obj, without)
    if description is None:
        return None
    return Target('the ' + words.noun_phrase(rng, description), description, _find(description))


def _ask(
    text: str,
    answer: str,
    kind: tuple[str, str, str],
    program: Program,
    group: str | None = None,
    valid: tuple[str, ...] = ('yes', 'no'),
    subject: dict[str, str] | None = None,
) -> StructuredQuestion:
    """Return a question; ``kind`` holds the structural, the semantic and the detailed type."""
    return StructuredQuestion(words.sentence(text, '?'), answer, *kind, group, valid, program, subject)


def _semantic(attribute: str) -> str:
    return 'cat' if attribute == 'shape' else 'attr'


def _other(rng: np.random.Generator, values: Iterable[str], value: str) -> str:
    return pick(rng, [other for other in values if other != value])


def _verify(
    rng: np.random.Generator, target: Target, attribute: str, value: str, truth: bool, form: str = 'is {} {}'
) -> StructuredQuestion:
    text = form.format(target.phrase, words.predicate(rng, value))
    kind = ('verify', _semantic(attribute), f'{attribute}Verify')
    return _ask(text, yes_no(truth), kind, _then(target.program, f'verify {attribute}', value))


def _choose(rng: np.random.Generator, target: Target, attribute: str, answer: str, other: str) -> StructuredQuestion:
    options = (answer, other) if coin(rng) else (other, answer)
    said = [words.with_article(option) if attribute == 'shape' else option for option in options]
    return _ask(
        f'is {target.phrase} {said[0]} or {said[1]}',
        answer,
        ('choose', _semantic(attribute), f'{attribute}Choose'),
        _then(target.program, f'choose {attribute}', '|'.join(options)),
        group=attribute,
        valid=options,
    )


def _exist(rng: np.random.Generator, description: dict[str, str], truth: bool, form: str) -> StructuredQuestion:
    many = 'any' in form
    phrase = words.noun_phrase(rng, description, many)
    bare = many or ' no ' in form
    return _ask(
        form.format(phrase if bare else words.with_article(phrase)),
        yes_no(truth),
        ('verify', 'obj', 'existNot' if ' no ' in form else 'exist'),
        _then(_find(description), 'not exist' if ' no ' in form else 'exist', '?'),
    )


_EXIST = ('is there {}', 'are there any {}', 'is there {} in the picture', 'can you see {}')


def _consequences(rng: np.random.Generator, target: Target, attribute: str, value: str) -> list[StructuredQuestion]:
    """Return what follows from an attribute of a target that is found by its description."""
    other = _other(rng, ATTRIBUTES[attribute], value)
    found = [
        _verify(rng, target, attribute, value, True),
        _verify(rng, target, attribute, other, False),
        _choose(rng, target, attribute, value, other),
    ]
    if target.description:
        found.append(_exist(rng, {**target.description, attribute: value}, True, pick(rng, _EXIST)))
    return found


def _query(target: Target, attribute: str, answer: str, form: str, semantic: str) -> StructuredQuestion:
    return _ask(
        form.format(target.phrase),
        answer,
        ('query', semantic, f'{attribute}Query' if semantic != 'rel' else f'{attribute}RelQuery'),
        _then(target.program, 'query', attribute),
        group=attribute,
        valid=ATTRIBUTES[attribute],
        subject=target.description,
    )


def _attribute_query(attribute: str) -> Maker:
    def maker(rng: np.random.Generator, scene: Scene) -> Family | None:
        answer = pick(rng, ATTRIBUTES[attribute])
        objects = [obj for obj in scene.find(**{attribute: answer}) if attribute != 'texture' or obj.size == 'large']
        target = _named(rng, scene, pick(rng, objects), without=attribute) if objects else None
        if target is None:
            return None
        forms = [form for form in ATTRIBUTE_TEXTS[attribute] if ' or ' not in form]
        rng.shuffle(forms)
        first, second = (_query(target, attribute, answer, form, _semantic(attribute)) for form in forms[:2])
        return Family(first, [second], _consequences(rng, target, attribute, answer))

    return maker


def _attribute_verify(rng: np.random.Generator, scene: Scene) -> Family | None:
    attribute = pick(rng, ('color', 'color', 'shape', 'texture', 'size'))
    obj, truth = visible_object(rng, scene, attribute), coin(rng)
    target = None if obj is None else _named(rng, scene, obj, without=attribute)
    if obj is None or target is None:
        return None
    value = getattr(obj, attribute)
    value = value if truth else _other(rng, ATTRIBUTES[attribute], value)
    question = _verify(rng, target, attribute, value, truth)
    # The description matches one object alone: what this is not, no such object is.
    entailed = _exist(rng, {**target.description, attribute: value}, truth, pick(rng, _EXIST))
    same = _verify(rng, target, attribute, value, truth, 'is it true that {} is {}')
    return Family(question, [same], [entailed])


def _attribute_choose(rng: np.random.Generator, scene: Scene) -> Family | None:
    attribute = pick(rng, ('color', 'color', 'shape', 'texture', 'size'))
    obj = visible_object(rng, scene, attribute)
    target = None if obj is None else _named(rng, scene, obj, without=attribute)
    if obj is None or target is None:
        return None
    answer = getattr(obj, attribute)
    other = _other(rng, ATTRIBUTES[attribute], answer)
    question = _choose(rng, target, attribute, answer, other)
    entailed = [_verify(rng, target, attribute, answer, True), _verify(rng, target, attribute, other, False)]
    return Family(question, [], entailed)


def _existence(rng: np.random.Generator, scene: Scene) -> Family | None:
    names = pick(rng, (('color', 'shape'), ('color', 'shape'), ('size', 'shape'), ('size', 'color'), ('color',)))
    found, missing = (description_with(rng, scene, names, present) for present in (True, False))
    if found is None or missing is None:
        return None
    present = coin(rng)
    description = found if present else missing
    forms = list(_EXIST)
    rng.shuffle(forms)
    question, same = (_exist(rng, description, present, form) for form in forms[:2])
    entailed = [_exist(rng, description, not present, 'is there no {}')]
    if present:
        entailed += [_exist(rng, {name: description[name]}, True, forms[0]) for name in names if len(names) > 1]
    else:
        added = pick(rng, [name for name in ('size', 'color', 'shape') if name not in names])
        entailed.append(_exist(rng, {**description, added: pick(rng, ATTRIBUTES[added])}, False, forms[0]))
    return Family(question, [same], entailed)


def _logical(rng: np.random.Generator, scene: Scene) -> Family | None:
    present = sorted({(obj.color, obj.shape) for obj in scene.objects})
    tried = (description_with(rng, scene, ('color', 'shape'), False) for _ in range(2))
    absent = [description for description in tried if description is not None]
    # Without this, some pictures would allow only one answer to "and".
    if len(present) < 2 or len(absent) < 2 or absent[0] == absent[1]:
        return None
    known = [dict(color=color, shape=shape) for color, shape in pick_two(rng, present)]
    joined, truth = pick(rng, ('and', 'or')), coin(rng)
    # Of "and" that is false, and of "or" that is true, one part is true: neither part alone says the answer.
    parts = [truth, truth] if (joined == 'and') == truth else [True, False]
    pairs = [(found if part else missing, part) for found, missing, part in zip(known, absent, parts)]
    if coin(rng):
        pairs.reverse()
    said = [words.with_article(words.noun_phrase(rng, description)) for description, _ in pairs]

    def ask(word: str, phrases: list[str], answer: bool) -> StructuredQuestion:
        one, two = (_then(_find(description), 'exist', '?') for description, _ in pairs)
        text = f'is there {phrases[0]} {word} {phrases[1]}'
        return _ask(text, yes_no(answer), ('logical', 'obj', f'exist{word.title()}'), _both(one, two, word))

    entailed = []
    if parts[0] == parts[1]:
        entailed = [_exist(rng, description, present, 'is there {}') for description, present in pairs]
        entailed.append(ask('or' if joined == 'and' else 'and', said, truth))
    return Family(ask(joined, said, truth), [ask(joined, said[::-1], truth)], entailed)


def _related(rng: np.random.Generator, scene: Scene) -> tuple[Target, Target, str] | None:
    """Return two objects and the direction in which the first lies from the second."""
    if len(scene.objects) < 2:
        return None
    obj, other = pick_two(rng, scene.objects)
    direction = pick(rng, DIRECTIONS)
    one, two = _named(rng, scene, obj), _named(rng, scene, other)
    if one is None or two is None or not relations.lies_in_direction(scene, obj, direction, other):
        return None
    return one, two, direction


def _relation(rng: np.random.Generator, one: Target, two: Target, direction: str, truth: bool) -> StructuredQuestion:
    where = words.pick_synonym(rng, words.DIRECTION_PHRASES[direction])
    program = _both(one.program, two.program, f'verify rel: {direction}')
    return _ask(f'is {one.phrase} {where} {two.phrase}', yes_no(truth), ('verify', 'rel', 'relVerify'), program)


def _relation_choose(one: Target, two: Target, direction: str) -> StructuredQuestion:
    options = next(ends for ends in _ENDS if direction in ends)
    said = 'to the left or to the right of' if direction in _ENDS[0] else 'above or below'
    return _ask(
        f'is {one.phrase} {said} {two.phrase}',
        direction,
        ('choose', 'rel', 'relChoose'),
        _both(one.program, two.program, 'choose rel', '|'.join(options)),
        group='direction',
        valid=options,
    )


def _relation_verify_family(rng: np.random.Generator, scene: Scene) -> Family | None:
    related, truth = _related(rng, scene), coin(rng)
    if related is None:
        return None
    one, two, direction = related
    opposite = relations.OPPOSITE[direction]
    asked, mirrored = (direction, opposite) if truth else (opposite, direction)
    return Family(
        _relation(rng, one, two, asked, truth),
        [_relation(rng, two, one, mirrored, truth)],
        [_relation(rng, one, two, mirrored, not truth), _relation_choose(one, two, direction)],
    )


def _relation_choose_family(rng: np.random.Generator, scene: Scene) -> Family | None:
    related = _related(rng, scene)
    if related is None:
        return None
    one, two, direction = related
    opposite = relations.OPPOSITE[direction]
    entailed = [_relation(rng, one, two, where, where == direction) for where in (direction, opposite)]
    return Family(_relation_choose(one, two, direction), [], entailed)


def _relation_query(rng: np.random.Generator, scene: Scene) -> Family | None:
    attribute, direction = pick(rng, ('shape', 'color')), pick(rng, DIRECTIONS)
    answer, other = pick(rng, ATTRIBUTES[attribute]), pick(rng, scene.objects)
    obj, reference = relations.single_object(scene, direction, other), _named(rng, scene, other)
    if obj is None or reference is None or getattr(obj, attribute) != answer:
        return None
    where = words.pick_synonym(rng, words.DIRECTION_PHRASES[direction])
    target = Target(
        f'the {pick(rng, words.NOUNS_FOR_ANY)} {where} {reference.phrase}',
        {},
        _then(reference.program, 'relate', f'object, {direction}'),
    )
    forms = list(ATTRIBUTE_TEXTS[attribute])
    rng.shuffle(forms)
    first, second = (_query(target, attribute, answer, form, 'rel') for form in forms[:2])
    return Family(first, [second], _consequences(rng, target, attribute, answer))


def _same(rng: np.random.Generator, scene: Scene) -> Family | None:
    attribute, truth = pick(rng, ('color', 'color', 'shape')), coin(rng)
    pairs: dict[bool, list[tuple[Target, Target]]] = {True: [], False: []}
    for first, second in permutations(scene.objects, 2):
        named = [_named(rng, scene, obj, without=attribute) for obj in (first, second)]
        if named[0] is not None and named[1] is not None:
            pairs[getattr(first, attribute) == getattr(second, attribute)].append((named[0], named[1]))
    # Without this, some pictures would allow only one answer.
    if not (pairs[True] and pairs[False]):
        return None
    one, two = pick(rng, pairs[truth])
    return Family(
        _compare(one, two, attribute, 'same', truth),
        [_compare(two, one, attribute, 'same', truth)],
        [_compare(one, two, attribute, 'different', not truth)],
    )


def _compare(one: Target, two: Target, attribute: str, how: str, truth: bool) -> StructuredQuestion:
    what = f'the same {attribute}' if how == 'same' else f'different {attribute}s'
    return _ask(
        f'do {one.phrase} and {two.phrase} have {what}',
        yes_no(truth),
        ('compare', _semantic(attribute), f'two{how.title()}'),
        _both(one.program, two.program, f'{how} {attribute}'),
    )


def _common(rng: np.random.Generator, scene: Scene) -> Family | None:
    answer, ends = pick(rng, _COMMON), pick(rng, _ENDS)
    pair = [relations.outermost(scene, end) for end in ends]
    if pair[0] is None or pair[1] is None or pair[0] is pair[1]:
        return None
    same = [name for name in _COMMON if getattr(pair[0], name) == getattr(pair[1], name)]
    if same != [answer]:
        return None
    noun = pick(rng, words.NOUNS_FOR_ANY)
    one, two = (
        Target(
            f'the {words.pick_synonym(rng, words.OUTERMOST[end])} {noun}',
            {},
            _then((Step('select', 'object'),), 'filter place', end),
        )
        for end in ends
    )

    def ask(first: Target, second: Target) -> StructuredQuestion:
        return _ask(
            f'what do {first.phrase} and {second.phrase} have in common',
            answer,
            ('compare', 'attr', 'twoCommon'),
            _both(first.program, second.program, 'common'),
            valid=_COMMON,
        )

    entailed = [_compare(one, two, name, 'same', name == answer) for name in _COMMON]
    return Family(ask(one, two), [ask(two, one)], entailed)


_SCENE: Program = (Step('select', 'scene'),)


def _background_verify(value: str, truth: bool) -> StructuredQuestion:
    program = _then(_SCENE, 'verify background', value)
    return _ask(f'is the background {value}', yes_no(truth), ('verify', 'global', 'backgroundVerify'), program)


def _background_choose(rng: np.random.Generator, answer: str, other: str) -> StructuredQuestion:
    options = (answer, other) if coin(rng) else (other, answer)
    return _ask(
        f'is the background {options[0]} or {options[1]}',
        answer,
        ('choose', 'global', 'backgroundChoose'),
        _then(_SCENE, 'choose background', '|'.join(options)),
        group='background',
        valid=options,
    )


def _background(rng: np.random.Generator, scene: Scene) -> Family:
    answer, structural = scene.background, pick(rng, ('query', 'query', 'query', 'verify', 'choose'))
    other, truth = _other(rng, BACKGROUNDS, answer), coin(rng)
    verified = [_background_verify(answer, True), _background_verify(other, False)]
    chosen = _background_choose(rng, answer, other)
    if structural == 'verify':
        return Family(verified[0 if truth else 1], [], [chosen] if truth else [])
    if structural == 'choose':
        return Family(chosen, [], verified)
    forms = list(BACKGROUND_TEXTS)
    rng.shuffle(forms)
    first, second = (
        _ask(
            form,
            answer,
            ('query', 'global', 'backgroundQuery'),
            _then(_SCENE, 'query', 'background'),
            group='background',
            valid=BACKGROUNDS,
        )
        for form in forms[:2]
    )
    return Family(first, [second], [*verified, chosen])


# Maker and its share of the questions; the shares of structural types are about those of GQA.
_MAKERS: tuple[tuple[Maker, float], ...] = (
    (_attribute_query('color'), 0.12),
    (_attribute_query('shape'), 0.12),
    (_attribute_query('texture'), 0.06),
    (_attribute_query('size'), 0.04),
    (_relation_query, 0.09),
    (_background, 0.10),
    (_attribute_verify, 0.12),
    (_existence, 0.08),
    (_relation_verify_family, 0.06),
    (_logical, 0.08),
    (_attribute_choose, 0.06),
    (_relation_choose_family, 0.03),
    (_same, 0.02),
    (_common, 0.02),
)
_CUMULATIVE = np.cumsum([share for _, share in _MAKERS])


def make_families(seed: int, scene: Scene) -> list[Family]:
    """Return families about one image, whose questions are all different."""
    rng = make_rng(seed, scene.split, scene.index, 'gqa')
    asked: dict[str, Family] = {}
    for _ in range(QUESTIONS_PER_IMAGE):
        maker, _ = pick_weighted(rng, _MAKERS, _CUMULATIVE)
        for _ in range(_ATTEMPTS):
            family = maker(rng, scene)
            if family is not None and family.question.text not in asked:
                asked[family.question.text] = family
                break
    return list(asked.values())
