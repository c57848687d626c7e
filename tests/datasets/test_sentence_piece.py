"""SentencePiece: the vocabulary tool, captions to ids and back."""

import json

import pytest

from soho.datasets.sentence_piece import normalize_caption, train_vocabulary
from soho.datasets.tokenizer import SentencePieceTokenizer

CAPTIONS = ['A dog on the left of a cat.', 'two dogs in a caf\u00e9\n', 'A cat on a mat', 'the dog, the cat', '']


@pytest.fixture
def vocab(tmp_path):
    train_vocabulary(CAPTIONS, tmp_path / 'new' / 'v.model', 45)
    return str(tmp_path / 'new' / 'v.model')


def test_normalisation_in_the_official_order():
    assert normalize_caption('A Caf\u00e9 \uff26\uff35\uff2c\uff2c \ufb01sh') == 'a cafe FULL fish'.lower()
    assert normalize_caption('Caf\u00e9', lower_case=False) == 'Cafe'
    assert normalize_caption('Caf\u00e9', keep_accents=True) == 'caf\u00e9'
    assert normalize_caption('  two  blanks\n') == '  two  blanks\n'


def test_special_ids_and_size(vocab):
    tokenizer = SentencePieceTokenizer(vocab)
    assert len(tokenizer) == 45
    assert (tokenizer.sos_id, tokenizer.eos_id, tokenizer.mask_id) == (1, 2, 3)
    assert [tokenizer.backend.id_to_piece(i) for i in range(4)] == ['<unk>', '[SOS]', '[EOS]', '[MASK]']


def test_captions_to_ids_and_back(vocab):
    tokenizer = SentencePieceTokenizer(vocab)
    ids = tokenizer('A DOG on the c\u00e1t.')
    assert ids[0] == 1 and ids[-1] == 2 and (ids[1:-1] > 3).all()
    assert tokenizer.decode(ids) == tokenizer.decode([*ids, 7, 9]) == 'a dog on the cat.'
    assert tokenizer('').tolist() == [1, 2] and tokenizer.decode([1, 2]) == ''
    assert tokenizer('[MASK]').tolist().count(3) == 0, 'what a person writes is no special token'


def test_long_captions_are_cut_and_lose_their_end(vocab):
    whole, cut = (SentencePieceTokenizer(vocab, max_length=n)('a dog on the cat, the mat') for n in (99, 6))
    assert cut.tolist() == whole[:6].tolist() and whole[-1] == 2 and 2 not in cut


def test_case_and_accents_may_stay(tmp_path):
    path = tmp_path / 'v.model'
    train_vocabulary(CAPTIONS, path, 50, lower_case=False, keep_accents=True)
    tokenizer = SentencePieceTokenizer(str(path), lower_case=False, keep_accents=True)
    assert tokenizer.decode(tokenizer('A caf\u00e9')) == 'A caf\u00e9'


def test_what_is_wrong_with_a_vocabulary(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no vocabulary .*none\.model; tools/prepare/vocabulary.py makes one'):
        SentencePieceTokenizer(str(tmp_path / 'none.model'))
    (tmp_path / 'broken.model').write_bytes(b'no model')
    with pytest.raises(ValueError, match=r'broken\.model is no SentencePiece model'):
        SentencePieceTokenizer(str(tmp_path / 'broken.model'))
    whole = tmp_path / 'whole.model'
    train_vocabulary(CAPTIONS, whole, 45)
    data = whole.read_bytes()
    whole.write_bytes(data.replace('\u2581a'.encode(), b'\xff\x81\x81a'))  # a piece that is no UTF-8
    with pytest.raises(ValueError, match=r'whole\.model is no SentencePiece model'):
        SentencePieceTokenizer(str(whole))
    whole.write_bytes(data)
    with pytest.raises(ValueError, match='no vocabulary of 5000 entries can be trained on 5 captions'):
        train_vocabulary(CAPTIONS, whole, 5000)
    assert whole.read_bytes() == data, 'the old file stays where there is no new one'


def test_the_tool_reads_coco_files_in_order(tmp_path, load_tool, vocab, capsys):
    for name, part in (('a', CAPTIONS[:2]), ('b', CAPTIONS[2:])):
        (tmp_path / f'{name}.json').write_text(json.dumps(dict(annotations=[dict(caption=c) for c in part])))
    tool, out = load_tool('prepare/vocabulary'), str(tmp_path / 'out.model')
    tool.main([str(tmp_path / 'a.json'), str(tmp_path / 'b.json'), '--out', out, '--size', '45'])
    assert f'{out}: 45 entries from 5 captions' in capsys.readouterr().out
    same = [SentencePieceTokenizer(path) for path in (out, vocab)]
    assert len({tuple(t.backend.id_to_piece(i) for i in range(45)) for t in same}) == 1
    with pytest.raises(SystemExit, match=r'error: .* has no key \'annotations\''):
        (tmp_path / 'a.json').write_text('{"images": []}')
        tool.main([str(tmp_path / 'a.json'), '--out', out])
