"""Captions of a whole picture and phrases about its regions."""

import math

import numpy as np

from . import relations, words
from .scene import ATTRIBUTES, Scene, SceneObject, make_rng, pick

CAPTIONS_PER_IMAGE = 5
REGIONS_PER_IMAGE = 8


def _object_phrase(rng: np.random.Generator, obj: SceneObject, *chances) -> str:
    """Return a noun phrase for an object, such as 'a big red star'."""
    return words.with_article(words.noun_phrase(rng, words.sample_description(rng, obj, *chances)))


def _is_or_are(count: int) -> str:
    return 'is' if count == 1 else 'are'


def _background_phrase(rng: np.random.Generator, scene: Scene) -> str:
    return pick(rng, words.GROUND_PHRASES[scene.background])


def _objects(rng: np.random.Generator, scene: Scene, most: int) -> tuple[str, int]:
    """Return a list of up to ``most`` objects as text, and its length."""
    objects = [scene.objects[i] for i in rng.permutation(len(scene.objects))]
    objects = objects[: pick(rng, range(1, most + 1))]
    return words.join([_object_phrase(rng, obj, (0.3, 0.9, 0.3)) for obj in objects]), len(objects)


def _listing(rng: np.random.Generator, scene: Scene) -> str:
    objects, count = _objects(rng, scene, 3)
    text = pick(rng, ('there ' + _is_or_are(count) + ' {}', 'you can see {}')).format(objects)
    return text + (f' {_background_phrase(rng, scene)}' if rng.random() < 0.5 else '')


def _photo(rng: np.random.Generator, scene: Scene) -> str:
    objects = _objects(rng, scene, 3)[0] if rng.random() < 0.7 else _everything(rng, scene)
    form = pick(
        rng, ('{} {}', 'a photo of {} {}', 'a picture of {} {}', 'an image of {} {}', 'the picture shows {} {}')
    )
    return form.format(objects, _background_phrase(rng, scene))


def _everything(rng: np.random.Generator, scene: Scene) -> str:
    """Return words for all objects without their attributes."""
    if rng.random() < 0.5:
        return _total(rng, scene)
    noun = words.plural(pick(rng, (*words.NOUNS_FOR_ANY, 'shape')))
    many = pick(rng, ('some', 'a few', 'several') if len(scene.objects) > 3 else ('some',))
    return f'{many} {noun}'


def _total(rng: np.random.Generator, scene: Scene) -> str:
    """Return the number of objects, as in 'five objects'."""
    noun = pick(rng, words.NOUNS_FOR_ANY)
    return f'{words.number_word(rng, len(scene.objects))} {words.plural(noun) if len(scene.objects) > 1 else noun}'


def _place(rng: np.random.Generator, scene: Scene) -> str | None:
    for obj in (scene.objects[i] for i in rng.permutation(len(scene.objects))):
        area = relations.area_of_picture(scene, obj)
        if area:
            place = f'{words.pick_synonym(rng, words.AREA_PHRASES[area])} of the picture'
            text = pick(rng, ('there is {0} {1}', '{0} lies {1}', '{1} there is {0}', '{0} is {1}'))
            return text.format(_object_phrase(rng, obj), place)
    return None


def _pick_relation(rng: np.random.Generator, scene: Scene) -> tuple[SceneObject, str, SceneObject] | None:
    """Return two objects and the words for the relation of the first to the second."""
    if len(scene.objects) < 2:
        return None
    one, two = (scene.objects[i] for i in rng.choice(len(scene.objects), 2, replace=False))
    if relations.next_to(scene, one, two) and rng.random() < 0.6:
        return one, pick(rng, ('next to', 'beside', 'close to')), two
    for direction in rng.permutation(list(relations.DIRECTIONS)):
        if relations.lies_in_direction(scene, one, direction, two):
            return one, words.pick_synonym(rng, words.DIRECTION_PHRASES[direction]), two
    return None


def _relation_phrase(rng: np.random.Generator, relation: tuple[SceneObject, str, SceneObject]) -> str:
    """Return a relation as text, such as 'a red star left of a ring'."""
    one, where, two = relation
    return f'{_object_phrase(rng, one)} {where} {_object_phrase(rng, two)}'


def _relation(rng: np.random.Generator, scene: Scene) -> str | None:
    relation = _pick_relation(rng, scene)
    if relation is None:
        return None
    one, where, two = relation
    forms = ['{0} is {1} {2}', 'there is {0} {1} {2}', '{0} lies {1} {2}']
    if not where.endswith(('than', 'left of', 'right of')) or where.startswith('to'):
        forms.append('{1} {2} is {0}')
    return pick(rng, forms).format(_object_phrase(rng, one), where, _object_phrase(rng, two))


def _pair(rng: np.random.Generator, scene: Scene) -> str | None:
    relation = _pick_relation(rng, scene)
    return relation and _relation_phrase(rng, relation)


def _between(rng: np.random.Generator, scene: Scene) -> str | None:
    order = rng.permutation(len(scene.objects))
    for i in order:
        for j in order:
            for k in order:
                objects = scene.objects[i], scene.objects[j], scene.objects[k]
                if len({i, j, k}) == 3 and relations.between(*objects):
                    return '{} is between {} and {}'.format(
                        *(_object_phrase(rng, obj, (0.2, 0.9, 0.2)) for obj in objects)
                    )
    return None


def _group(rng: np.random.Generator, scene: Scene, names: tuple[str, ...]) -> tuple[str, int, list[SceneObject]]:
    """Return 'three red stars', their number, and the objects that share some attributes with one of them."""
    obj = pick(rng, scene.objects)
    description = {name: getattr(obj, name) for name in names}
    members = scene.find(**description)
    phrase = words.noun_phrase(rng, description, many=len(members) > 1)
    return f'{words.number_word(rng, len(members))} {phrase}', len(members), members


def _count(rng: np.random.Generator, scene: Scene) -> str:
    if rng.random() < 0.35:
        are = _is_or_are(len(scene.objects))
        return pick(rng, ('there {2} {0} {1}', '{0} can be seen {1}', 'you can see {0} {1}', 'there {2} {0}')).format(
            _total(rng, scene), _background_phrase(rng, scene), are
        )
    names = pick(rng, (('shape',), ('color',), ('shape',), ('color', 'shape'), ('size',), ('texture',)))
    first, count, members = _group(rng, scene, names)
    rest = [obj for obj in scene.objects if obj not in members]
    if rest and rng.random() < 0.4 and len(names) == 1:
        value = getattr(pick(rng, rest), names[0])
        others = scene.find(**{names[0]: value})
        second = words.noun_phrase(rng, {names[0]: value}, many=len(others) > 1)
        first, count = f'{first} and {words.number_word(rng, len(others))} {second}', 2
    return pick(rng, (f'there {_is_or_are(count)} {{}}', 'you can see {}')).format(first)


def _nothing(rng: np.random.Generator, scene: Scene) -> str | None:
    if rng.random() < 0.3:
        obj, direction = pick(rng, scene.objects), pick(rng, tuple(relations.DIRECTIONS))
        the_object = words.referring_expression(rng, scene, obj)
        if the_object and relations.nothing_in_direction(scene, direction, obj):
            return (
                f'{pick(rng, ("nothing is", "there is nothing"))} '
                f'{words.pick_synonym(rng, words.DIRECTION_PHRASES[direction])} {the_object}'
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
    values = sorted({getattr(obj, attribute) for obj in scene.objects})
    if len(values) < 2:
        return None
    one, two = (values[i] for i in rng.choice(len(values), 2, replace=False))
    a, b = len(scene.find(**{attribute: one})), len(scene.find(**{attribute: two}))
    first, second = (words.noun_phrase(rng, {attribute: value}, many=True) for value in (one, two))
    if a == b:
        return f'there are as many {first} as {second}' if a > 1 else None
    return f'there are {"more" if a > b else "fewer"} {first} than {second}'


def _all(rng: np.random.Generator, scene: Scene) -> str | None:
    if len(scene.objects) < 2:
        return None
    for attribute in rng.permutation(['color', 'shape', 'texture', 'size']):
        for value in sorted({getattr(obj, attribute) for obj in scene.objects}):
            rest = [obj for obj in scene.objects if getattr(obj, attribute) != value]
            if len(rest) > 1 or (rest and len(scene.objects) < 4):
                continue
            if attribute == 'shape':
                predicate = words.plural(words.pick_synonym(rng, words.SHAPE_NOUNS[value]))
            else:
                predicate = words.predicate(rng, value)
            if not rest:
                everything = words.plural(pick(rng, words.NOUNS_FOR_ANY))
                return pick(rng, ('all the {} are {}', 'all {} are {}', 'all of the {} are {}')).format(
                    everything, predicate
                )
            the_other = words.referring_expression(rng, scene, rest[0], without=attribute)
            if the_other:
                return pick(rng, ('all {2} except {0} are {1}', 'all {2} but {0} are {1}')).format(
                    the_other, predicate, words.plural(pick(rng, words.NOUNS_FOR_ANY))
                )
    return None


def _outermost(rng: np.random.Generator, scene: Scene) -> str | None:
    direction = pick(rng, tuple(relations.DIRECTIONS))
    obj = relations.outermost(scene, direction)
    where = words.pick_synonym(rng, words.OUTERMOST[direction])
    return None if obj is None else f'the {where} {pick(rng, words.NOUNS_FOR_ANY)} is {_object_phrase(rng, obj)}'


# Clauses by frequency. The first of a caption may be a phrase without a verb, those after it are sentences.
_FIRST = (_photo, _photo, _photo, _listing, _listing, _place, _pair, _relation, _relation, _count, _count, _all)
_FURTHER = (_listing, _place, _relation, _relation, _between, _count, _nothing, _nothing, _comparison, _all, _outermost)
_CLAUSE_COUNTS = (1, 1, 1, 2, 2, 3)


def make_captions(seed: int, scene: Scene) -> list[str]:
    """Return five different true captions of one to three clauses."""
    rng = make_rng(seed, scene.split, scene.index, 'captions')
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


def _union(objects: list[SceneObject]) -> tuple[float, float, float, float]:
    points = np.concatenate([obj.polygon for obj in objects])
    return (*points.min(0).tolist(), *points.max(0).tolist())


def _region(rng: np.random.Generator, scene: Scene) -> tuple[str, tuple[float, float, float, float]] | None:
    """Return a phrase and its box (left, top, right, bottom) in pixels."""
    draw = rng.random()
    if draw < 0.55:
        obj = pick(rng, scene.objects)
        phrase = words.noun_phrase(rng, words.sample_description(rng, obj, (0.4, 0.85, 0.4)))
        return pick(rng, (phrase, words.with_article(phrase))), _union([obj])
    if draw < 0.62:
        obj = pick(rng, scene.objects)
        attribute = pick(rng, ('color', 'size') if obj.size == 'small' else ('color', 'size', 'texture'))
        value = getattr(obj, attribute)
        noun = words.pick_synonym(rng, words.SHAPE_NOUNS[obj.shape])
        return f'the {noun} is {words.predicate(rng, value)}', _union([obj])
    if draw < 0.84:
        relation = _pick_relation(rng, scene)
        return relation and (_relation_phrase(rng, relation), _union([relation[0], relation[2]]))
    if draw < 0.92:
        phrase, count, members = _group(rng, scene, pick(rng, (('shape',), ('color',), ('color', 'shape'))))
        return (phrase, _union(members)) if count > 1 else None
    return pick(rng, ('the {} in the background', '{} in the background', 'a background of {}')).format(
        scene.background
    ), (0.0, 0.0, float(scene.width), float(scene.height))


def make_regions(seed: int, scene: Scene) -> list[dict]:
    """Return about eight phrases with boxes, as in Visual Genome.

    Returns:
        Dicts of ``phrase`` and ``x``, ``y``, ``width``, ``height`` in whole pixels inside the picture.
    """
    rng = make_rng(seed, scene.split, scene.index, 'regions')
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
