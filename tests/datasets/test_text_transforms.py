"""Tokens and what is hidden of them."""

import numpy as np
import pytest

from soho.datasets.tokenizer import SPECIAL, BertTokenizer
from soho.datasets.transforms.text import DrawVisualMask, MaskTokens, PackSample, Tokenize

WORDS = [*SPECIAL, *'abcdefghij', 'red', '##ness', '##s', 'un', '##known']


@pytest.fixture
def vocab(tmp_path):
    path = tmp_path / 'vocab.txt'
    path.write_text('\n'.join(WORDS) + '\n')
    return str(path)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_word_pieces_between_cls_and_sep(vocab):
    ids, mask = BertTokenizer(vocab, max_length=7)(['Redness, unknown', 'a', '', 'a b c d e f g'])
    assert [[WORDS[i] for i in row if i] for row in ids] == [
        ['[CLS]', 'red', '##ness', '[UNK]', 'un', '##known', '[SEP]'],
        ['[CLS]', 'a', '[SEP]'],
        ['[CLS]', '[SEP]'],
        ['[CLS]', 'a', 'b', 'c', 'd', 'e', '[SEP]'],
    ]
    assert ids.shape == (4, 7) and ids.dtype == mask.dtype == np.int64
    assert mask.tolist() == (ids != 0).astype(int).tolist()


def test_ids_back_to_words(vocab):
    tokenizer = BertTokenizer(vocab)
    assert tokenizer.decode(tokenizer(['unknown reds'])[0][0]) == 'unknown reds'
    assert len(tokenizer) == len(WORDS)


def test_a_folder_with_a_vocabulary(vocab, tmp_path):
    assert BertTokenizer(str(tmp_path))(['a'])[0].tolist() == BertTokenizer(vocab)(['a'])[0].tolist()


def test_control_characters_are_cleaned_unless_told_otherwise(vocab):
    assert BertTokenizer(vocab)(['re\u200bd'])[0][0, 1] == WORDS.index('red')
    assert BertTokenizer(vocab, clean_text=False)(['re\u200bd'])[0][0, 1] == WORDS.index('[UNK]')


def test_what_is_wrong_with_a_vocabulary(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'there is no vocabulary file .*none\.txt'):
        BertTokenizer(str(tmp_path / 'none.txt'))
    with pytest.raises(FileNotFoundError, match=r'there is no vocabulary file .*vocab\.txt'):
        BertTokenizer(str(tmp_path))
    (tmp_path / 'vocab.txt').write_text('[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n')
    with pytest.raises(ValueError, match=r'lacks \[MASK\]; a BERT vocabulary has all of'):
        BertTokenizer(str(tmp_path / 'vocab.txt'))


def test_masking_rates(vocab):
    """15 % are chosen; of these 80 % become [MASK], 10 % a random word, 10 % stay."""
    mask_tokens = MaskTokens(dict(vocab=vocab))
    ids = rng(1).integers(5, len(WORDS), (1000, 200))
    results = mask_tokens.transform(dict(input_ids=ids, rng=rng()))
    masked, chosen = results['input_ids'], results['mlm_labels'] >= 0
    assert chosen.mean() == pytest.approx(0.15, abs=0.005)
    assert (results['mlm_labels'] == np.where(chosen, ids, -100)).all()
    assert (masked == ids)[~chosen].all()
    is_mask = masked[chosen] == WORDS.index('[MASK]')
    kept = masked[chosen] == ids[chosen]
    # One random word in len(WORDS) is [MASK], and one is the word itself.
    chance = 0.1 / len(WORDS)
    assert is_mask.mean() == pytest.approx(0.8 + chance, abs=0.01)
    assert kept.mean() == pytest.approx(0.1 + chance, abs=0.01)
    others = masked[chosen][~is_mask & ~kept]
    counts = np.bincount(others, minlength=len(WORDS))[5:]
    assert counts.min() > 0.7 * counts.mean() and counts.max() < 1.3 * counts.mean()


def test_special_tokens_are_never_chosen(vocab):
    ids = np.tile(np.arange(10), (500, 1))
    results = MaskTokens(dict(vocab=vocab), prob=0.9).transform(dict(input_ids=ids, rng=rng()))
    assert (results['mlm_labels'][:, :5] == -100).all() and (results['input_ids'][:, :5] == ids[:, :5]).all()
    assert (results['mlm_labels'][:, 5:] >= 0).mean() > 0.8


def test_masking_follows_from_the_generator(vocab):
    transform = MaskTokens(dict(vocab=vocab), prob=0.5)
    first, again, other = (
        transform.transform(dict(input_ids=np.full((4, 9), 7), rng=rng(seed)))['input_ids'] for seed in (0, 0, 1)
    )
    assert (first == again).all() and (first != other).any()


def test_words_with_a_probability_of_their_own(vocab):
    ids = np.tile(np.arange(5, len(WORDS)), (2000, 1))
    chosen = (
        MaskTokens(dict(vocab=vocab), prob=0.1, word_probs=[dict(words=['red', 'b'], prob=0.6)]).transform(
            dict(input_ids=ids, rng=rng())
        )['mlm_labels']
        >= 0
    )
    named = np.isin(ids[0], [WORDS.index('red'), WORDS.index('b')])
    assert chosen[:, named].mean() == pytest.approx(0.6, abs=0.02)
    assert chosen[:, ~named].mean() == pytest.approx(0.1, abs=0.01)
    with pytest.raises(ValueError, match='none of the words Red is a token of the vocabulary'):
        MaskTokens(dict(vocab=vocab), word_probs=[dict(words=['Red'], prob=0.6)])


def test_some_sentences_stay_whole(vocab):
    ids = np.full((2000, 20), 7)
    results = MaskTokens(dict(vocab=vocab), prob=0.9, sentence_prob=0.3).transform(dict(input_ids=ids, rng=rng()))
    masked = (results['mlm_labels'] >= 0).any(1)
    assert masked.mean() == pytest.approx(0.3, abs=0.04) and (results['input_ids'][~masked] == 7).all()


def test_sentences_of_other_images_are_masked_without_targets(vocab):
    ids, matched = np.full((400, 20), 7), np.arange(400) % 2
    results = MaskTokens(dict(vocab=vocab), prob=0.5, matched_only=True).transform(
        dict(input_ids=ids, itm_labels=matched, rng=rng())
    )
    has_target, is_masked = results['mlm_labels'] >= 0, results['input_ids'] == WORDS.index('[MASK]')
    assert not has_target[matched == 0].any() and has_target[matched == 1].mean() == pytest.approx(0.5, abs=0.03)
    assert is_masked[matched == 0].mean() == pytest.approx(is_masked[matched == 1].mean(), abs=0.03)


def test_the_visual_mask_is_drawn_for_each_sentence():
    draws = [DrawVisualMask(prob=0.3).transform(dict(sentences=['a'] * 4, rng=rng(seed))) for seed in range(500)]
    cells, rows = np.array([d['mvm_cell'] for d in draws]), np.array([d['mvm_sentences'] for d in draws])
    assert cells.dtype == np.float32 and cells.min() >= 0 and cells.max() < 1 and cells.std() > 0.25
    assert rows.shape == (500, 4) and rows.mean() == pytest.approx(0.3, abs=0.04)


def test_only_what_is_named_is_packed(vocab):
    results = Tokenize(dict(vocab=vocab, max_length=5)).transform(
        dict(sentences=['a'], sentence_mask=np.array([True]), question_id=np.array([3]), rng=rng(), flipped=False)
    )
    packed = PackSample(keys=['question_id']).transform(results)
    assert set(packed) == {'input_ids', 'attention_mask', 'sentence_mask', 'question_id'}
    with pytest.raises(KeyError, match='mlm_labels'):
        PackSample(keys=['mlm_labels']).transform(results)
