"""SentencePiece vocabularies learnt from captions, and captions in their ids."""

import gzip
import hashlib
import json
import os
import tempfile
from typing import Any

import numpy as np

from soho.datasets.sentence_piece import normalize_caption, train_vocabulary
from soho.datasets.tokenizer import SentencePieceTokenizer
from tests.parity.fixture import Fixture, find_near
from tests.parity.soho_model import recipe

CAPTIONS = '_base_/datasets/coco_captions_virtex.py'
VAL2017 = os.path.join('coco_captions_val2014', 'captions_val2017.json.gz')
SCORE = 1e-6


def beside(fixture: Fixture, name: str) -> str:
    """The path of a file that lies in the fixture's folder."""
    return os.path.join(os.path.dirname(os.path.abspath(fixture.path)), name)


def read_gzip(path: str) -> Any:
    """The contents of a compressed json file."""
    with gzip.open(path, 'rt', encoding='utf-8') as file:
        return json.load(file)


def check_vocabulary(fixture: Fixture) -> None:
    """``text.json``: a vocabulary learnt again, and encodings by it and by the recorded model."""
    corpus = read_gzip(beside(fixture, fixture['corpus_file']))
    fixture.remark(*fixture.names('trainer/'), *fixture.names('training_is_deterministic'))
    fixture.remark('normalization_order', 'normalization_note', 'truncation')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'learnt.model')
        fixture.check('num_captions', train_vocabulary(corpus, path, int(fixture['vocab_size'])))
        learnt = _tokenizer(path)
    pieces, scores = zip(*fixture['vocab'])
    backend = learnt.backend
    ids = range(len(learnt))
    fixture.check('vocab', [backend.id_to_piece(i) for i in ids], recorded=list(pieces))
    fixture.check('vocab scores', [backend.get_score(i) for i in ids], SCORE, recorded=list(scores))
    fixture.check('vocab_size', len(learnt))
    fixture.check('max_caption_length', learnt.max_length)
    fixture.check('padding_id', backend.unk_id())
    for name in fixture.names('special_ids/'):
        fixture.check(name, backend.piece_to_id(name.removeprefix('special_ids/')))
    _check_encodings(fixture, learnt)
    _check_encodings(fixture, _tokenizer(beside(fixture, fixture['model_file'])))


def _tokenizer(path: str) -> SentencePieceTokenizer:
    """As the published recipe reads captions."""
    return SentencePieceTokenizer(path, max_length=recipe(CAPTIONS).tokenizer.max_length)


def _check_encodings(fixture: Fixture, tokenizer: SentencePieceTokenizer) -> None:
    texts = fixture['encode/text']
    normalized = [normalize_caption(text) for text in texts]
    tokens = [tokenizer(text) for text in texts]
    ids = [tokenizer.backend.encode(text) for text in normalized]
    ours = dict(
        normalized=normalized,
        ids=ids,
        pieces=[tokenizer.backend.id_to_piece(row) for row in ids],
        caption_tokens=[row.tolist() for row in tokens],
        noitpac_tokens=[row[::-1].tolist() for row in tokens],
        decoded=[tokenizer.decode(row) for row in ids],
        decoded_with_specials=[tokenizer.decode(row) for row in tokens],
    )
    fixture.check_all(ours, prefix='encode/')


def check_coco(fixture: Fixture) -> None:
    """``text_coco.json``: a vocabulary of 10,000 from the captions of val2017, which lie elsewhere."""
    path = find_near(fixture.path, VAL2017)
    if path is None:
        fixture.fail(list(fixture.values), f'needs {VAL2017} in a folder above it, or in data there')
        return
    annotations = read_gzip(path)['annotations']
    captions = [annotation['caption'] for annotation in annotations]
    fixture.remark('corpus', 'corpus_licence')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'learnt.model')
        train_vocabulary(captions, path, int(fixture['vocab_size']))
        tokenizer = _tokenizer(path)
    backend = tokenizer.backend
    fixture.check('vocab_size', len(tokenizer))
    fixture.check('vocab_pieces_in_id_order', [backend.id_to_piece(i) for i in range(len(tokenizer))])
    normalized = [normalize_caption(caption) for caption in captions]
    ids = [backend.encode(caption) for caption in normalized]
    flat = np.concatenate([np.array(row, np.int64) for row in ids])
    fixture.check('total_ids', flat.size)
    fixture.check('unknown_ids', int((flat == backend.unk_id()).sum()))
    fixture.check('sha256_of_all_ids_as_int64', hashlib.sha256(flat.tobytes()).hexdigest())
    lengths = np.array([len(row) + 2 for row in ids])
    statistics = dict(
        mean=lengths.mean(),
        median=np.median(lengths),
        p95=np.percentile(lengths, 95),
        p99=np.percentile(lengths, 99),
        max=lengths.max(),
        longer_than_30=(lengths > tokenizer.max_length).sum(),
        captions=lengths.size,
    )
    fixture.check_all(statistics, 1e-9, prefix='token_length_statistics_with_both_specials/')
    for name in fixture.names('captions_containing/'):
        word = name.removeprefix('captions_containing/')
        fixture.check(name, sum(word in caption for caption in normalized))
    indices = fixture['encode/index']
    fixture.check('encode/annotation_id', [annotations[i]['id'] for i in indices])
    fixture.check('encode/text', [captions[i] for i in indices])
    fixture.check('encode/ids', [ids[i] for i in indices])
    fixture.check('encode/caption_tokens', [tokenizer(captions[i]).tolist() for i in indices])
