"""Normalisation of captions for SentencePiece, and training of a vocabulary."""

import io
import unicodedata
from collections.abc import Iterable

from soho.errors import UserError
from soho.files import PathLike, atomic_write

UNKNOWN, SOS, EOS, MASK = '<unk>', '[SOS]', '[EOS]', '[MASK]'


def normalize_caption(caption: str, lower_case: bool = True, keep_accents: bool = False) -> str:
    """Caption in lower case, decomposed (NFKD) and without combining marks, in the official order."""
    if lower_case:
        caption = caption.lower()
    if keep_accents:
        return caption
    decomposed = unicodedata.normalize('NFKD', caption)
    return ''.join(character for character in decomposed if not unicodedata.combining(character))


def train_vocabulary(
    captions: Iterable[str], path: PathLike, size: int = 10000, lower_case: bool = True, keep_accents: bool = False
) -> int:
    """Train a byte-pair vocabulary with the official trainer's parameters and write it to ``path``.

    Ids: ``<unk>`` (also padding) is 0, [SOS] 1, [EOS] 2, [MASK] 3; the pieces follow in the order of their
    merges. Official file: kdexd/virtex ``scripts/preprocess/build_vocabulary.py``.

    Args:
        captions: Training captions; all are used.
        path: The ``.model`` to write.
        size: Entries of the vocabulary, with the special ones.
        lower_case, keep_accents: See :func:`normalize_caption`; a tokenizer of this vocabulary needs the same.

    Returns:
        Number of captions read.

    Raises:
        UserError: The captions have too few distinct characters or pieces for ``size``, or too many.
    """
    from sentencepiece import SentencePieceTrainer

    count = 0

    def lines() -> Iterable[str]:
        nonlocal count
        for caption in captions:
            count += 1
            yield from normalize_caption(caption, lower_case, keep_accents).split('\n')

    model = io.BytesIO()
    try:
        SentencePieceTrainer.train(
            sentence_iterator=iter(lines()),
            model_writer=model,
            vocab_size=size,
            model_type='bpe',
            character_coverage=1.0,
            bos_id=-1,
            eos_id=-1,
            control_symbols=[SOS, EOS, MASK],
            minloglevel=2,
        )
    except RuntimeError as error:
        raise UserError(f'no vocabulary of {size} entries can be trained on {count} captions: {error}') from error
    with atomic_write(path) as file:
        file.write(model.getvalue())
    return count
