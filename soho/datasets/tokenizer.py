"""BERT's WordPiece tokenisation, from a vocabulary file, a folder or the Hub."""
import os
from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer
from tokenizers.implementations import BertWordPieceTokenizer
from tokenizers.normalizers import BertNormalizer
from transformers import AutoTokenizer

SPECIAL = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')


class BertTokenizer:
    """Sentences to fixed-length token ids: ``[CLS] pieces [SEP] [PAD]...``.

    Args:
        vocab: A ``vocab.txt``, a folder that holds one, or a Hub name such as
            ``'bert-base-uncased'``.
        max_length: L, tokens a sentence with the special ones; longer ones
            are cut.
        clean_text: Remove control and zero-width characters first, as BERT
            does. The official SOHO tokenizer does not, so that a word that
            holds one becomes [UNK]; ``False`` does the same.

    Raises:
        FileNotFoundError: ``vocab`` looks like a path but is none.
        ValueError: The vocabulary lacks a special token.
    """

    def __init__(self, vocab: str, max_length: int = 16, clean_text: bool = True) -> None:
        self.backend = _load(vocab)
        self.backend.normalizer = BertNormalizer(clean_text=clean_text, lowercase=True)
        missing = [token for token in SPECIAL if self.backend.token_to_id(token) is None]
        if missing:
            raise ValueError(f'the vocabulary {vocab} lacks {", ".join(missing)}; a BERT vocabulary has all of '
                             f'{", ".join(SPECIAL)}')
        self.backend.enable_truncation(max_length)
        self.backend.enable_padding(
            length=max_length, pad_id=self.backend.token_to_id('[PAD]'), pad_token='[PAD]')
        self.mask_id = self.backend.token_to_id('[MASK]')
        self.special_ids = np.array([self.backend.token_to_id(token) for token in SPECIAL])
        self.end_and_pad_ids = np.array([self.backend.token_to_id(token) for token in ('[PAD]', '[CLS]', '[SEP]')])

    def __len__(self) -> int:
        return self.backend.get_vocab_size()

    def __call__(self, sentences: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """S sentences to ids (S, L) int64 and attention mask (S, L) int64."""
        encoded = self.backend.encode_batch(list(sentences))
        return (np.array([e.ids for e in encoded], np.int64), np.array([e.attention_mask for e in encoded], np.int64))

    def words(self, ids: Sequence[int]) -> str:
        """Ids back to text, without special tokens."""
        return self.backend.decode(list(map(int, ids)))


def _load(vocab: str) -> Tokenizer:
    path = os.path.join(vocab, 'vocab.txt') if os.path.isdir(vocab) else vocab
    if os.path.isfile(path):
        return BertWordPieceTokenizer(path)._tokenizer
    if path.endswith('.txt') or os.path.isabs(path) or os.path.isdir(vocab):
        raise FileNotFoundError(f'there is no vocabulary file {path}')
    return AutoTokenizer.from_pretrained(vocab).backend_tokenizer
