"""Negatives that differ from a true sentence in one word."""

import numpy as np
import pytest

from soho.datasets.tokenizer import SPECIAL
from soho.datasets.transforms.negatives import ReplaceWord

WORDS = [*SPECIAL, 'a', 'no', 'red', 'blue', 'green', 'star', 'ring', 'hoop', 'left']
KINDS = [[['red'], ['blue'], ['green']], [['star'], ['ring', 'ring', 'hoop']]]


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / 'vocab.txt'
    path.write_text('\n'.join(WORDS) + '\n')
    return dict(vocab=str(path), max_length=8)


def sample(sentence, rows=1, label=1, seed=0):
    ids = np.array([[2, *(WORDS.index(word) for word in sentence.split()), 3]] * rows)
    return dict(input_ids=ids, itm_labels=np.full(rows, label), rng=np.random.default_rng(seed))


def test_one_word_becomes_another_of_its_kind_that_is_no_synonym(tokenizer):
    given = sample('a red hoop left', rows=2000)
    made = ReplaceWord(tokenizer, KINDS, prob=1.0).transform(dict(given))
    changed = made['input_ids'] != given['input_ids']
    assert (changed.sum(1) == 1).all() and (made['itm_labels'] == 0).all()
    places, counts = np.unique(changed.nonzero()[1], return_counts=True)
    assert places.tolist() == [2, 3] and counts.min() > 900  # both words alike
    words = [WORDS[i] for i in made['input_ids'][changed]]
    assert set(words) == {'blue', 'green', 'star'}  # never "ring", which is what a hoop is
    assert words.count('blue') == pytest.approx(words.count('green'), rel=0.2)
    assert (given['input_ids'] == sample('a red hoop left', rows=2000)['input_ids']).all()  # given arrays stay


def test_a_word_that_is_listed_twice_is_drawn_twice_as_often(tokenizer):
    made = ReplaceWord(tokenizer, KINDS, prob=1.0).transform(sample('a star', rows=3000))['input_ids']
    assert (made == WORDS.index('ring')).sum() == pytest.approx(2 * (made == WORDS.index('hoop')).sum(), rel=0.15)


def test_the_share_of_negatives_among_matched_sentences(tokenizer):
    made = ReplaceWord(tokenizer, KINDS, prob=0.3).transform(sample('a red star', rows=4000))
    assert (made['itm_labels'] == 0).mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize('sentence, label', [('no red star', 1), ('a left', 1), ('a red star', 0)])
def test_sentences_that_stay(tokenizer, sentence, label):
    """After "no" another word is as true; a sentence without such a word cannot change; a negative is one already."""
    given = sample(sentence, rows=50, label=label)
    made = ReplaceWord(tokenizer, KINDS, prob=1.0, unless=['no']).transform(dict(given))
    assert (made['input_ids'] == given['input_ids']).all() and (made['itm_labels'] == label).all()


def test_the_words_follow_from_the_generator(tokenizer):
    first, again, other = (
        ReplaceWord(tokenizer, KINDS).transform(sample('a red star', rows=40, seed=seed))['input_ids']
        for seed in (0, 0, 1)
    )
    assert (first == again).all() and (first != other).any()


def test_words_that_are_no_tokens(tokenizer):
    made = ReplaceWord(tokenizer, [[['red'], ['pink'], ['blue']], [['star'], ['cube']]], prob=1.0).transform(
        sample('a red star', rows=50)
    )
    assert (made['input_ids'] == sample('a blue star')['input_ids']).all()
    with pytest.raises(ValueError, match='no two words of different meaning'):
        ReplaceWord(tokenizer, [[['red'], ['pink']], [['cube'], ['cone']]])
