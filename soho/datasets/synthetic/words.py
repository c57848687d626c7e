"""Words and noun phrases: how attributes, objects, numbers and places are called."""

import itertools

import numpy as np

from .scene import Scene, Thing, pick

# The first word is the name used in answers; it is drawn more often than its synonyms.
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


def name(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    """The first word three times in four, else one of its synonyms."""
    return words[0] if len(words) == 1 or rng.random() < 0.72 else pick(rng, words[1:])


def plural(noun: str) -> str:
    """The plural of a noun of this vocabulary."""
    return noun + ('es' if noun.endswith(('s', 'x')) else 's')


def with_article(phrase: str) -> str:
    """'a ...' or 'an ...'."""
    return ('an ' if phrase[0] in 'aeiou' else 'a ') + phrase


def number(rng: np.random.Generator, count: int) -> str:
    """A count as a word or, above one, sometimes in digits."""
    return NUMBERS[count] if count < 2 or rng.random() < 0.7 else str(count)


def noun_phrase(rng: np.random.Generator, description: dict[str, str], many: bool = False) -> str:
    """'small striped red star' for a description in attributes; without article."""
    before = [name(rng, ADJECTIVES[description['size']])] if 'size' in description else []
    color = [description['color']] if 'color' in description else []
    after = []
    texture = description.get('texture')
    if texture is None:
        before += color
    elif texture in WITH_TEXTURE and rng.random() < 0.15:
        before += color
        after = [pick(rng, WITH_TEXTURE[texture])]
    elif texture in WITH_TEXTURE and rng.random() < 0.3:
        before += [*color, name(rng, ADJECTIVES[texture])]
    else:
        before += [name(rng, ADJECTIVES[texture]), *color]
    shape = description.get('shape')
    noun = name(rng, SHAPE_NOUNS[shape]) if shape else pick(rng, NOUNS_FOR_ANY)
    return ' '.join([*before, plural(noun) if many else noun, *after])


def predicate(rng: np.random.Generator, value: str) -> str:
    """What can follow 'is': 'red', 'big', 'striped'; for a shape 'a star'."""
    if value in SHAPE_NOUNS:
        return with_article(name(rng, SHAPE_NOUNS[value]))
    # A star may be a little star, but is not said to be little.
    return name(
        rng, {'large': ('large', 'big'), 'small': ('small', 'tiny')}.get(value) or ADJECTIVES.get(value, (value,))
    )


def describe(
    rng: np.random.Generator, thing: Thing, chances: tuple[float, float, float] = (0.4, 0.85, 0.45)
) -> dict[str, str]:
    """A true description of an object with its shape and, by chance, size, colour and texture."""
    keep = [attribute for attribute, chance in zip(_ORDER, (*chances, 1.0)) if rng.random() < chance]
    return {attribute: getattr(thing, attribute) for attribute in keep}


def unique_description(
    rng: np.random.Generator, scene: Scene, thing: Thing, without: str | None = None
) -> dict[str, str] | None:
    """A short description that fits this object and no other of the scene.

    Args:
        rng: Source of the choice among equally short descriptions.
        scene: The scene.
        thing: One of its objects.
        without: An attribute that must not be mentioned, since it is what is asked.

    Returns:
        Attributes and values, or None where nothing up to all attributes is unique.
    """
    fitting = []
    for names in _SUBSETS:
        if without in names or names in (('size',), ('texture',)):
            continue
        # On a small object the texture is hard to see, and does not help to find it.
        if 'texture' in names and thing.size == 'small':
            continue
        description = {attribute: getattr(thing, attribute) for attribute in names}
        if len(scene.find(**description)) == 1:
            fitting.append(description)
    if not fitting:
        return None
    # Mostly one of the shortest, now and then more than is needed.
    shortest = [d for d in fitting if len(d) == len(fitting[0])]
    return pick(rng, shortest if rng.random() < 0.7 else fitting)


def reference(rng: np.random.Generator, scene: Scene, thing: Thing, without: str | None = None) -> str | None:
    """'the red star': words that name one object of the scene; None where there are none."""
    description = unique_description(rng, scene, thing, without)
    return None if description is None else 'the ' + noun_phrase(rng, description)


def join(parts: list[str]) -> str:
    """'a, b and c'."""
    return parts[0] if len(parts) == 1 else ', '.join(parts[:-1]) + ' and ' + parts[-1]


def sentence(text: str, end: str = '.') -> str:
    """With a capital and a full stop or question mark."""
    return text[0].upper() + text[1:] + end
