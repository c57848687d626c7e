"""Words and noun phrases for attributes, objects, numbers and places."""

import itertools

import numpy as np

from .scene import Scene, SceneObject, pick

# The first word is the one of the answers; it is used more often than its synonyms.
SHAPE_NOUNS = {
    'circle': ('circle', 'disc'),
    'square': ('square', 'box'),
    'triangle': ('triangle',),
    'star': ('star',),
    'heart': ('heart',),
    'ring': ('ring', 'hoop'),
}
ADJECTIVES = {
    'large': ('large', 'big', 'huge'),
    'small': ('small', 'little', 'tiny'),
    'plain': ('plain', 'solid'),
    'striped': ('striped', 'stripy'),
    'dotted': ('dotted', 'spotted'),
    'checkered': ('checkered', 'checked'),
}
# Not 'shape': five shapes may be five objects or five kinds of shape.
NOUNS_FOR_ANY = ('object', 'thing', 'item')
WITH_TEXTURE = {
    'striped': ('with stripes',),
    'dotted': ('with dots', 'with spots'),
    'checkered': ('with checks', 'with a checked pattern'),
}
NUMBERS = ('zero', 'one', 'two', 'three', 'four', 'five', 'six', 'seven')
GROUND_PHRASES = {
    'grass': ('on the grass', 'on a green lawn', 'in the grass'),
    'sand': ('on the sand', 'on a sandy beach', 'in the sand'),
    'water': ('on the water', 'floating on water', 'in the sea'),
    'sky': ('in the sky', 'in a cloudy sky', 'up in the sky'),
    'brick': ('on a brick wall', 'in front of bricks', 'against a brick wall'),
    'wood': ('on a wooden floor', 'on wood', 'on wooden boards'),
    'tiles': ('on a tiled floor', 'on tiles', 'on gray tiles'),
    'snow': ('in the snow', 'on white snow', 'on the snow'),
}
DIRECTION_PHRASES = {
    'left': ('left of', 'to the left of'),
    'right': ('right of', 'to the right of'),
    'above': ('above', 'higher than'),
    'below': ('below', 'under', 'lower than'),
}
OUTERMOST = {
    'left': ('leftmost',),
    'right': ('rightmost',),
    'above': ('highest', 'topmost', 'uppermost'),
    'below': ('lowest', 'bottommost'),
}
AREA_PHRASES = {
    'left': ('on the left', 'at the left edge', 'on the left side'),
    'right': ('on the right', 'at the right edge', 'on the right side'),
    'top': ('at the top', 'near the top'),
    'bottom': ('at the bottom', 'near the bottom'),
    'middle': ('in the middle', 'in the center'),
}
_ORDER = ('size', 'color', 'texture', 'shape')
# Descriptions from short to long. Texture alone or size alone seldom names one object.
_SUBSETS = tuple(names for count in (1, 2, 3, 4) for names in itertools.combinations(_ORDER, count))


def pick_synonym(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    """Return the first word with probability 0.72, else one of its synonyms."""
    return words[0] if len(words) == 1 or rng.random() < 0.72 else pick(rng, words[1:])


def plural(noun: str) -> str:
    """Return the plural of a noun of this vocabulary."""
    return noun + ('es' if noun.endswith(('s', 'x')) else 's')


def with_article(phrase: str) -> str:
    """Return the phrase with 'a' or 'an'."""
    return ('an ' if phrase[0] in 'aeiou' else 'a ') + phrase


def number_word(rng: np.random.Generator, count: int) -> str:
    """Return a count as a word or, above one, sometimes in digits."""
    return NUMBERS[count] if count < 2 or rng.random() < 0.7 else str(count)


def noun_phrase(rng: np.random.Generator, description: dict[str, str], many: bool = False) -> str:
    """Return a noun phrase without article for a description, such as 'small striped red star'."""
    before = [pick_synonym(rng, ADJECTIVES[description['size']])] if 'size' in description else []
    color = [description['color']] if 'color' in description else []
    after = []
    texture = description.get('texture')
    if texture is None:
        before += color
    elif texture in WITH_TEXTURE and rng.random() < 0.15:
        before += color
        after = [pick(rng, WITH_TEXTURE[texture])]
    elif texture in WITH_TEXTURE and rng.random() < 0.3:
        before += [*color, pick_synonym(rng, ADJECTIVES[texture])]
    else:
        before += [pick_synonym(rng, ADJECTIVES[texture]), *color]
    shape = description.get('shape')
    noun = pick_synonym(rng, SHAPE_NOUNS[shape]) if shape else pick(rng, NOUNS_FOR_ANY)
    return ' '.join([*before, plural(noun) if many else noun, *after])


def predicate(rng: np.random.Generator, value: str) -> str:
    """Return the words after 'is': 'red', 'big', 'striped'; for a shape 'a star'."""
    if value in SHAPE_NOUNS:
        return with_article(pick_synonym(rng, SHAPE_NOUNS[value]))
    # "A little star", but not "the star is little".
    return pick_synonym(
        rng, {'large': ('large', 'big'), 'small': ('small', 'tiny')}.get(value) or ADJECTIVES.get(value, (value,))
    )


def sample_description(
    rng: np.random.Generator, obj: SceneObject, chances: tuple[float, float, float] = (0.4, 0.85, 0.45)
) -> dict[str, str]:
    """Return a true description of an object: its shape and, with these chances, size, colour and texture."""
    keep = [attribute for attribute, chance in zip(_ORDER, (*chances, 1.0)) if rng.random() < chance]
    return {attribute: getattr(obj, attribute) for attribute in keep}


def unique_description(
    rng: np.random.Generator, scene: Scene, obj: SceneObject, without: str | None = None
) -> dict[str, str] | None:
    """Return a short description that matches this object and no other of the scene.

    Args:
        rng: Random generator.
        scene: The scene.
        obj: One of its objects.
        without: Attribute that must not be mentioned, since it is the answer.

    Returns:
        Attributes and values, or None where not even all attributes are unique.
    """
    fitting = []
    for names in _SUBSETS:
        if without in names or names in (('size',), ('texture',)):
            continue
        # On a small object the texture is hard to see, and does not help to find it.
        if 'texture' in names and obj.size == 'small':
            continue
        description = {attribute: getattr(obj, attribute) for attribute in names}
        if len(scene.find(**description)) == 1:
            fitting.append(description)
    if not fitting:
        return None
    # Mostly one of the shortest, sometimes with more attributes than needed.
    shortest = [d for d in fitting if len(d) == len(fitting[0])]
    return pick(rng, shortest if rng.random() < 0.7 else fitting)


def referring_expression(
    rng: np.random.Generator, scene: Scene, obj: SceneObject, without: str | None = None
) -> str | None:
    """Return an expression that refers to one object of the scene, such as 'the red star'; None where there is none."""
    description = unique_description(rng, scene, obj, without)
    return None if description is None else 'the ' + noun_phrase(rng, description)


def join(parts: list[str]) -> str:
    """Return the parts as 'a, b and c'."""
    return parts[0] if len(parts) == 1 else ', '.join(parts[:-1]) + ' and ' + parts[-1]


def sentence(text: str, end: str = '.') -> str:
    """Return the text with a capital letter and a full stop or question mark."""
    return text[0].upper() + text[1:] + end
