"""Tokenizers: BERT's WordPiece, and SentencePiece for captions."""

import hashlib
import os
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer

from soho.datasets.sentence_piece import EOS, MASK, SOS, UNKNOWN, normalize_caption
from soho.datasets.storage.hub import find_file
from soho.errors import UserError, clip

SPECIAL = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')


class BertTokenizer:
    """WordPiece tokenizer with fixed-length output: ``[CLS] pieces [SEP] [PAD]...``.

    Args:
        vocab: A ``vocab.txt``, a folder that holds one, or a Hub name such as
            ``'bert-base-uncased'``; or the pieces themselves, in the order of their ids.
        max_length: L, tokens per sentence with the special ones; longer ones
            are truncated.
        clean_text: Remove control and zero-width characters first, as BERT
            does. ``False`` is the official behaviour of SOHO: a word with such
            a character becomes [UNK].

    Raises:
        FileNotFoundError: ``vocab`` is a path that does not exist.
        UserError: The vocabulary cannot be read, lacks a special token, or is on the Hub, which cannot be reached.
    """

    def __init__(self, vocab: str | Sequence[str], max_length: int = 16, clean_text: bool = True) -> None:
        self.backend = _load(vocab)
        self.backend.normalizer = BertNormalizer(clean_text=clean_text, lowercase=True)
        ids = {token: number for token in SPECIAL if (number := self.backend.token_to_id(token)) is not None}
        _check_special(ids, vocab if isinstance(vocab, str) else f'of {len(vocab)} pieces')
        self.backend.enable_truncation(max_length)
        self.backend.enable_padding(length=max_length, pad_id=ids['[PAD]'], pad_token='[PAD]')
        self.max_length = max_length
        self.mask_id = ids['[MASK]']
        self.pad_id = ids['[PAD]']
        self.special_ids = np.array(list(ids.values()))
        self.end_and_pad_ids = np.array([ids[token] for token in ('[PAD]', '[CLS]', '[SEP]')])

    def __len__(self) -> int:
        return self.backend.get_vocab_size()

    @property
    def vocabulary(self) -> list[str]:
        """The pieces in the order of their ids, of which the same tokenizer can be made again."""
        pieces = self.backend.get_vocab()
        return sorted(pieces, key=pieces.__getitem__)

    def __call__(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """S sentences to ids (S, L) int64 and attention mask (S, L) int64."""
        encoded = self.backend.encode_batch_fast(list(sentences))  # without the places of the pieces in the text
        return (np.array([e.ids for e in encoded], np.int64), np.array([e.attention_mask for e in encoded], np.int64))

    def encode(self, sentences: Sequence[str]) -> list[np.ndarray]:
        """Ids of each sentence without padding, int64."""
        return [ids[mask == 1] for ids, mask in zip(*self(sentences))]

    def pad(self, sentences: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Ids of :meth:`encode` to padded ids (S, L) and attention mask (S, L), as a call returns them."""
        ids = np.full((len(sentences), self.max_length), self.pad_id, np.int64)
        mask = np.zeros_like(ids)
        for row, attended, sentence in zip(ids, mask, sentences):
            row[: len(sentence)] = sentence
            attended[: len(sentence)] = 1
        return ids, mask

    def ids_of_words(self, words: Sequence[str], required: bool = True) -> np.ndarray:
        """(W,) int64 ids of those of ``words`` that are one token; the others never occur as one.

        Raises:
            UserError: None of them is, and one is required.
        """
        ids = [number for word in words if (number := self.backend.token_to_id(word)) is not None]
        if required and not ids:
            raise UserError(
                f'none of the words {", ".join(words[:5])}{", ..." if len(words) > 5 else ""} is a token of the '
                'vocabulary; they are written as the vocabulary writes them, mostly in lower case'
            )
        return np.array(ids, np.int64)

    def digest(self) -> str:
        """SHA-256 of everything that the ids depend on."""
        return hashlib.sha256(self.backend.to_str().encode()).hexdigest()

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, without special tokens."""
        return self.backend.decode(list(map(int, ids)))


def _load(vocab: str | Sequence[str]) -> Tokenizer:
    if not isinstance(vocab, str):
        return BertWordPieceTokenizer({piece: number for number, piece in enumerate(vocab)})._tokenizer
    path = os.path.join(vocab, 'vocab.txt') if os.path.isdir(vocab) else vocab
    if not os.path.isfile(path):
        if path.endswith('.txt') or os.path.isabs(path):
            raise FileNotFoundError(f'there is no vocabulary file {path}')
        path = find_file(vocab, ('vocab.txt', 'tokenizer.json'), 'the vocabulary')
    try:
        if path.endswith('.json'):
            return Tokenizer.from_file(path)
        pieces = WordPiece.read_file(path)
    except Exception as error:  # tokenizers has one error class of its own, raised from Rust
        raise UserError(f'the vocabulary {path} cannot be read: {clip(error)}') from error
    # Some editors begin a file with a byte-order mark, which belongs to no token.
    pieces = {piece.removeprefix('\ufeff'): row for piece, row in pieces.items()}
    _check_special(pieces, path)
    return BertWordPieceTokenizer(pieces)._tokenizer


def _check_special(pieces: Collection[str], vocab: str) -> None:
    missing = [token for token in SPECIAL if token not in pieces]
    if missing:
        raise UserError(
            f'the vocabulary {vocab} lacks {", ".join(missing)}; a BERT vocabulary has all of {", ".join(SPECIAL)}'
        )


class SentencePieceTokenizer:
    """SentencePiece tokenizer of captions: ``[SOS] pieces [EOS]``.

    Padding is id 0, which is also ``<unk>``.

    Args:
        vocab: A SentencePiece ``.model`` from ``tools/prepare/vocabulary.py``, or an official one; or its bytes.
        max_length: L, tokens per caption with the special ones. As published, a longer caption is truncated to its
            first ``max_length`` tokens and thereby loses its [EOS].
        lower_case, keep_accents: The options that the vocabulary was trained with; see
            :func:`soho.datasets.sentence_piece.normalize_caption`.

    Raises:
        FileNotFoundError: There is no file ``vocab``.
        UserError: ``vocab`` is not a SentencePiece model, or lacks a special token.
    """

    def __init__(
        self, vocab: str | bytes, max_length: int = 30, lower_case: bool = True, keep_accents: bool = False
    ) -> None:
        from sentencepiece import SentencePieceProcessor

        if isinstance(vocab, str) and not os.path.isfile(vocab):
            raise FileNotFoundError(f'there is no vocabulary {vocab}; tools/prepare/vocabulary.py makes one')
        name = vocab if isinstance(vocab, str) else f'of {len(vocab)} bytes'
        try:
            options: Any = {'model_file' if isinstance(vocab, str) else 'model_proto': vocab}
            self.backend = SentencePieceProcessor(**options)
            pieces = [self.backend.id_to_piece(number) for number in range(len(self.backend))]
        except Exception as error:  # what damaged bytes make it raise is of many kinds
            raise UserError(f'the vocabulary {name} is no SentencePiece model') from error
        self.sos_id, self.eos_id, self.mask_id = map(self.backend.piece_to_id, (SOS, EOS, MASK))
        missing = [piece for piece in (SOS, EOS, MASK) if piece not in pieces]
        if missing or pieces[0] != UNKNOWN:
            raise UserError(
                f'the vocabulary {name} lacks {", ".join(missing) or UNKNOWN + " at id 0"}; one made by '
                'tools/prepare/vocabulary.py has it'
            )
        self.max_length = max_length
        self.lower_case = lower_case
        self.keep_accents = keep_accents

    def __len__(self) -> int:
        return len(self.backend)

    @property
    def vocabulary(self) -> bytes:
        """The SentencePiece model, of which the same tokenizer can be made again."""
        return self.backend.serialized_model_proto()

    def __call__(self, caption: str) -> np.ndarray:
        """Ids of a caption, (L,) int64 with L up to ``max_length``."""
        pieces = self.backend.encode(normalize_caption(caption, self.lower_case, self.keep_accents))
        return np.array([self.sos_id, *pieces, self.eos_id][: self.max_length], np.int64)

    def encode(self, captions: Sequence[str]) -> list[np.ndarray]:
        """Ids of each caption, int64."""
        return [self(caption) for caption in captions]

    def digest(self) -> str:
        """SHA-256 of everything that the ids depend on."""
        options = f'{self.max_length} {self.lower_case} {self.keep_accents}'
        return hashlib.sha256(self.backend.serialized_model_proto() + options.encode()).hexdigest()

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids up to the first [EOS], without special tokens."""
        ids = list(map(int, ids))
        end = ids.index(self.eos_id) if self.eos_id in ids else len(ids)
        return self.backend.decode(ids[:end])
