"""WordPiece vocabulary in which every word of the training text is one piece."""

import string
from collections.abc import Iterable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from soho.datasets.tokenizer import SPECIAL
from soho.files import PathLike, write_text

LARGEST = 1000


def train_vocabulary(words: Iterable[str]) -> list[str]:
    """Train WordPiece until every word is one piece, or the vocabulary is full.

    Args:
        words: Distinct lower-case words.

    Returns:
        The pieces in the order of their ids: special tokens, characters (all
        lower-case letters and digits, so that any English word can be
        spelled), then pieces from short to long merges.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token='[UNK]'))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    letters = list(string.ascii_lowercase + string.digits)
    # Given as special tokens, the characters have fixed ids. Otherwise their order, and with it the choice
    # among equally frequent pairs, differs from run to run.
    trainer = trainers.WordPieceTrainer(
        vocab_size=LARGEST,
        min_frequency=1,
        show_progress=False,
        special_tokens=[*SPECIAL, *letters, *(f'##{letter}' for letter in letters)],
    )
    tokenizer.train_from_iterator(sorted(words), trainer)
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)


def write_vocabulary(path: PathLike, texts: Iterable[str]) -> int:
    """Write the vocabulary of the words of texts, a piece a line; return its size.

    Args:
        path: The ``vocab.txt`` to write.
        texts: Sentences or words, of whatever case.
    """
    pieces = train_vocabulary({word for text in texts for word in text.lower().split()})
    write_text(path, '\n'.join(pieces) + '\n')
    return len(pieces)
