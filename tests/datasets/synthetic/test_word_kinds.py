"""The words that configs name are those of which the captions are made."""

from soho.datasets.synthetic import scene, words
from soho.engine import load_config

CONFIG = load_config('configs/_base_/datasets/synthetic_words.py')


def test_the_kinds_are_complete():
    kinds = CONFIG.words
    nouns = [noun for synonyms in words.SHAPE_NOUNS.values() for noun in synonyms]
    assert set(kinds.noun) == {*nouns, *map(words.plural, nouns)}
    assert set(kinds.color) == set(scene.COLORS)
    assert set(kinds.number) == {*words.NUMBERS[1:7], *map(str, range(2, 7))}  # a picture has one to six objects
    assert set(kinds.size) == {word for size in scene.SIZES for word in words.ADJECTIVES[size]}
    textures = {word for texture in scene.TEXTURES for word in words.ADJECTIVES[texture]}
    assert set(kinds.texture) == textures | {'stripes', 'dots', 'spots', 'checks'}
    places = ' '.join(
        phrase
        for group in (words.AREA_PHRASES, words.DIRECTION_PHRASES, words.OUTERMOST)
        for phrases in group.values()
        for phrase in phrases
    ).split()
    assert set(kinds.place) == {*places} - {'on', 'at', 'near', 'in', 'the', 'to', 'of', 'than', 'edge', 'side'}
    grounds = {word for phrases in words.GROUND_PHRASES.values() for phrase in phrases for word in phrase.split()}
    assert set(kinds.background) <= grounds


def test_no_synonym_makes_a_negative():
    """Two meanings of a kind never hold words for the same thing."""
    groups = [*words.SHAPE_NOUNS.values(), *words.ADJECTIVES.values(), *words.DIRECTION_PHRASES.values()]
    groups += [tuple(map(words.plural, nouns)) for nouns in words.SHAPE_NOUNS.values()]
    for kind in CONFIG.meanings:
        for synonyms in groups:
            assert sum(bool({*synonyms} & {*meaning}) for meaning in kind) <= 1
