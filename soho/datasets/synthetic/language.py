"""Captions of a whole picture and phrases about its regions."""

import math

import numpy as np

from . import relations, words
from .scene import ATTRIBUTES, Scene, Thing, pick, stream

CAPTIONS_PER_IMAGE = 5
REGIONS_PER_IMAGE = 8


def _noun(rng: np.random.Generator, thing: Thing, *chances) -> str:
    """'a big red star'."""
    return words.with_article(words.noun_phrase(rng, words.describe(rng, thing, *chances)))


def _is_or_are(count: int) -> str:
    return 'is' if count == 1 else 'are'


def _ground(rng: np.random.Generator, scene: Scene) -> str:
    return pick(rng, words.GROUND_PHRASES[scene.background])


def _objects(rng: np.random.Generator, scene: Scene, most: int) -> tuple[str, int]:
    """Up to ``most`` objects in a row."""
    things = [scene.things[i] for i in rng.permutation(len(scene.things))]
    things = things[: pick(rng, range(1, most + 1))]
    return words.join([_noun(rng, thing, (0.3, 0.9, 0.3)) for thing in things]), len(things)


def _listing(rng: np.random.Generator, scene: Scene) -> str:
    objects, count = _objects(rng, scene, 3)
    text = pick(rng, ('there ' + _is_or_are(count) + ' {}', 'you can see {}')).format(objects)
    return text + (f' {_ground(rng, scene)}' if rng.random() < 0.5 else '')


def _photo(rng: np.random.Generator, scene: Scene) -> str:
    objects = _objects(rng, scene, 3)[0] if rng.random() < 0.7 else _everything(rng, scene)
    form = pick(
        rng, ('{} {}', 'a photo of {} {}', 'a picture of {} {}', 'an image of {} {}', 'the picture shows {} {}')
    )
    return form.format(objects, _ground(rng, scene))


def _everything(rng: np.random.Generator, scene: Scene) -> str:
    """All objects without naming them."""
    if rng.random() < 0.5:
        return _total(rng, scene)
    noun = words.plural(pick(rng, (*words.NOUNS_FOR_ANY, 'shape')))
    many = pick(rng, ('some', 'a few', 'several') if len(scene.things) > 3 else ('some',))
    return f'{many} {noun}'


def _total(rng: np.random.Generator, scene: Scene) -> str:
    """'five objects'."""
    noun = pick(rng, words.NOUNS_FOR_ANY)
    return f'{words.number(rng, len(scene.things))} {words.plural(noun) if len(scene.things) > 1 else noun}'


def _where(rng: np.random.Generator, scene: Scene) -> str | None:
    for thing in (scene.things[i] for i in rng.permutation(len(scene.things))):
        area = relations.area_of_picture(scene, thing)
        if area:
            place = f'{words.name(rng, words.AREA_PHRASES[area])} of the picture'
            text = pick(rng, ('there is {0} {1}', '{0} lies {1}', '{1} there is {0}', '{0} is {1}'))
            return text.format(_noun(rng, thing), place)
    return None


def _a_relation(rng: np.random.Generator, scene: Scene) -> tuple[Thing, str, Thing] | None:
    """Two objects and the words for how the first lies to the second."""
    if len(scene.things) < 2:
        return None
    one, two = (scene.things[i] for i in rng.choice(len(scene.things), 2, replace=False))
    if relations.next_to(scene, one, two) and rng.random() < 0.6:
        return one, pick(rng, ('next to', 'beside', 'close to')), two
    for direction in rng.permutation(list(relations.DIRECTIONS)):
        if relations.lies(scene, one, direction, two):
            return one, words.name(rng, words.DIRECTION_PHRASES[direction]), two
    return None


def _said(rng: np.random.Generator, related: tuple[Thing, str, Thing]) -> str:
    """'a red star left of a ring'."""
    one, where, two = related
    return f'{_noun(rng, one)} {where} {_noun(rng, two)}'


def _relation(rng: np.random.Generator, scene: Scene) -> str | None:
    related = _a_relation(rng, scene)
    if related is None:
        return None
    one, where, two = related
    forms = ['{0} is {1} {2}', 'there is {0} {1} {2}', '{0} lies {1} {2}']
    if not where.endswith(('than', 'left of', 'right of')) or where.startswith('to'):
        forms.append('{1} {2} is {0}')
    return pick(rng, forms).format(_noun(rng, one), where, _noun(rng, two))


def _related(rng: np.random.Generator, scene: Scene) -> str | None:
    related = _a_relation(rng, scene)
    return related and _said(rng, related)


def _between(rng: np.random.Generator, scene: Scene) -> str | None:
    order = rng.permutation(len(scene.things))
    for i in order:
        for j in order:
            for k in order:
                things = scene.things[i], scene.things[j], scene.things[k]
                if len({i, j, k}) == 3 and relations.between(*things):
                    return '{} is between {} and {}'.format(*(_noun(rng, thing, (0.2, 0.9, 0.2)) for thing in things))
    return None


def _group(rng: np.random.Generator, scene: Scene, names: tuple[str, ...]) -> tuple[str, int, list[Thing]]:
    """'three red stars', for the objects that share values of some attributes with one of them."""
    thing = pick(rng, scene.things)
    description = {name: getattr(thing, name) for name in names}
    members = scene.find(**description)
    phrase = words.noun_phrase(rng, description, many=len(members) > 1)
    return f'{words.number(rng, len(members))} {phrase}', len(members), members


def _count(rng: np.random.Generator, scene: Scene) -> str:
    if rng.random() < 0.35:
        are = _is_or_are(len(scene.things))
        return pick(rng, ('there {2} {0} {1}', '{0} can be seen {1}', 'you can see {0} {1}', 'there {2} {0}')).format(
            _total(rng, scene), _ground(rng, scene), are
        )
    names = pick(rng, (('shape',), ('color',), ('shape',), ('color', 'shape'), ('size',), ('texture',)))
    first, count, members = _group(rng, scene, names)
    rest = [thing for thing in scene.things if thing not in members]
    if rest and rng.random() < 0.4 and len(names) == 1:
        value = getattr(pick(rng, rest), names[0])
        others = scene.find(**{names[0]: value})
        second = words.noun_phrase(rng, {names[0]: value}, many=len(others) > 1)
        first, count = f'{first} and {words.number(rng, len(others))} {second}', 2
    return pick(rng, (f'there {_is_or_are(count)} {{}}', 'you can see {}')).format(first)


def _nothing(rng: np.random.Generator, scene: Scene) -> str | None:
    if rng.random() < 0.3:
        thing, direction = pick(rng, scene.things), pick(rng, tuple(relations.DIRECTIONS))
        the_thing = words.reference(rng, scene, thing)
        if the_thing and relations.none_at_all(scene, direction, thing):
            return (
                f'{pick(rng, ("nothing is", "there is nothing"))} '
                f'{words.name(rng, words.DIRECTION_PHRASES[direction])} {the_thing}'
            )
        return None
    names = pick(rng, (('shape',), ('color',), ('color', 'shape'), ('texture',)))
    description = {name: pick(rng, ATTRIBUTES[name]) for name in names}
    if scene.find(**description):
        return None
    if names == ('texture',) or (names == ('color',) and rng.random() < 0.5):
        value = description[names[0]]
        return pick(rng, ('none of the {1} is {0}', 'no {2} is {0}', 'nothing is {0}')).format(
            words.predicate(rng, value), words.plural(pick(rng, words.NOUNS_FOR_ANY)), pick(rng, words.NOUNS_FOR_ANY)
        )
    if rng.random() < 0.5:
        return f'there is no {words.noun_phrase(rng, description)}'
    return f'there are no {words.noun_phrase(rng, description, many=True)}'


def _comparison(rng: np.random.Generator, scene: Scene) -> str | None:
    attribute = pick(rng, ('shape', 'color', 'size'))
    values = sorted({getattr(thing, attribute) for thing in scene.things})
    if len(values) < 2:
        return None
    one, two = (values[i] for i in rng.choice(len(values), 2, replace=False))
    a, b = len(scene.find(**{attribute: one})), len(scene.find(**{attribute: two}))
    first, second = (words.noun_phrase(rng, {attribute: value}, many=True) for value in (one, two))
    if a == b:
        return f'there are as many {first} as {second}' if a > 1 else None
    return f'there are {"more" if a > b else "fewer"} {first} than {second}'


def _all(rng: np.random.Generator, scene: Scene) -> str | None:
    if len(scene.things) < 2:
        return None
    for attribute in rng.permutation(['color', 'shape', 'texture', 'size']):
        for value in sorted({getattr(thing, attribute) for thing in scene.things}):
            rest = [thing for thing in scene.things if getattr(thing, attribute) != value]
            if len(rest) > 1 or (rest and len(scene.things) < 4):
                continue
            if attribute == 'shape':
                said = words.plural(words.name(rng, words.SHAPE_NOUNS[value]))
            else:
                said = words.predicate(rng, value)
            if not rest:
                everything = words.plural(pick(rng, words.NOUNS_FOR_ANY))
                return pick(rng, ('all the {} are {}', 'all {} are {}', 'all of the {} are {}')).format(
                    everything, said
                )
            the_other = words.reference(rng, scene, rest[0], without=attribute)
            if the_other:
                return pick(rng, ('all {2} except {0} are {1}', 'all {2} but {0} are {1}')).format(
                    the_other, said, words.plural(pick(rng, words.NOUNS_FOR_ANY))
                )
    return None


def _outermost(rng: np.random.Generator, scene: Scene) -> str | None:
    direction = pick(rng, tuple(relations.DIRECTIONS))
    thing = relations.outermost(scene, direction)
    where = words.name(rng, words.OUTERMOST[direction])
    return thing and f'the {where} {pick(rng, words.NOUNS_FOR_ANY)} is {_noun(rng, thing)}'


# How often each clause is drawn. The first of a caption may be a bare phrase, those after it are sentences.
_FIRST = (_photo, _photo, _photo, _listing, _listing, _where, _related, _relation, _relation, _count, _count, _all)
_FURTHER = (_listing, _where, _relation, _relation, _between, _count, _nothing, _nothing, _comparison, _all, _outermost)
_CLAUSE_COUNTS = (1, 1, 1, 2, 2, 3)


def captions(seed: int, scene: Scene) -> list[str]:
    """Five true captions of one to three clauses, all different."""
    rng = stream(seed, scene.split, scene.index, 'captions')
    made: list[str] = []
    while len(made) < CAPTIONS_PER_IMAGE:
        clauses: list[str] = []
        used = set()
        for _ in range(pick(rng, _CLAUSE_COUNTS)):
            maker = pick(rng, _FURTHER if clauses else _FIRST)
            clause = None if maker in used else maker(rng, scene)
            if clause:
                clauses.append(clause)
                used.add(maker)
        if not clauses:
            continue
        text = words.sentence(clauses[0], '')
        for clause in clauses[1:]:
            text += pick(rng, (f', and {clause}', f'. {words.sentence(clause, "")}', f'; {clause}'))
        if text + '.' not in made:
            made.append(text + '.')
    return made


def _union(things: list[Thing]) -> tuple[float, float, float, float]:
    points = np.concatenate([thing.polygon for thing in things])
    return (*points.min(0).tolist(), *points.max(0).tolist())


def _region(rng: np.random.Generator, scene: Scene) -> tuple[str, tuple[float, float, float, float]] | None:
    """A phrase and its box (left, top, right, bottom) in pixels."""
    draw = rng.random()
    if draw < 0.55:
        thing = pick(rng, scene.things)
        phrase = words.noun_phrase(rng, words.describe(rng, thing, (0.4, 0.85, 0.4)))
        return pick(rng, (phrase, words.with_article(phrase))), _union([thing])
    if draw < 0.62:
        thing = pick(rng, scene.things)
        attribute = pick(rng, ('color', 'size') if thing.size == 'small' else ('color', 'size', 'texture'))
        value = getattr(thing, attribute)
        noun = words.name(rng, words.SHAPE_NOUNS[thing.shape])
        return f'the {noun} is {words.predicate(rng, value)}', _union([thing])
    if draw < 0.84:
        related = _a_relation(rng, scene)
        return related and (_said(rng, related), _union([related[0], related[2]]))
    if draw < 0.92:
        phrase, count, members = _group(rng, scene, pick(rng, (('shape',), ('color',), ('color', 'shape'))))
        return (phrase, _union(members)) if count > 1 else None
    return pick(rng, ('the {} in the background', '{} in the background', 'a background of {}')).format(
        scene.background
    ), (0.0, 0.0, float(scene.width), float(scene.height))


def regions(seed: int, scene: Scene) -> list[dict]:
    """About eight phrases with boxes, as Visual Genome has them.

    Returns:
        Dicts of ``phrase`` and ``x``, ``y``, ``width``, ``height`` in whole pixels inside the picture.
    """
    rng = stream(seed, scene.split, scene.index, 'regions')
    found: dict[str, dict] = {}
    for _ in range(2 * REGIONS_PER_IMAGE):
        made = _region(rng, scene)
        if made is None or made[0] in found:
            continue
        phrase, (left, top, right, bottom) = made
        x, y = max(0, math.floor(left)), max(0, math.floor(top))
        found[phrase] = dict(
            phrase=phrase,
            x=x,
            y=y,
            width=min(scene.width, math.ceil(right)) - x,
            height=min(scene.height, math.ceil(bottom)) - y,
        )
        if len(found) == REGIONS_PER_IMAGE:
            break
    return list(found.values())
