"""The vocabulary of a tokenizer in a checkpoint, and in the pipeline of a config."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from soho.datasets.tokenizer import BertTokenizer, SentencePieceTokenizer
from soho.engine.checkpoint.errors import CheckpointError

WORDPIECE, SENTENCEPIECE = 'wordpiece', 'sentencepiece'


def vocabulary_of(dataset: Any) -> dict[str, str]:
    """The vocabulary of a data set's tokenizer in the form that a checkpoint holds; empty where it has none."""
    dataset = getattr(dataset, 'datasets', [dataset])[0]  # of a concatenation the first
    return encode_vocabulary(getattr(dataset, 'tokenizer', None))


def encode_vocabulary(tokenizer: Any) -> dict[str, str]:
    """As :func:`vocabulary_of`, of the tokenizer itself."""
    if isinstance(tokenizer, BertTokenizer):
        return {WORDPIECE: '\n'.join(tokenizer.vocabulary)}
    if isinstance(tokenizer, SentencePieceTokenizer):
        return {SENTENCEPIECE: base64.b64encode(tokenizer.vocabulary).decode()}
    return {}


def tokenizer_argument(vocabulary: Mapping[str, str], source: str) -> list[str] | bytes | None:
    """The argument ``vocab`` of a tokenizer, out of what :func:`vocabulary_of` returns; ``None`` where it is empty.

    Raises:
        CheckpointError: It is damaged.
    """
    try:
        if SENTENCEPIECE in vocabulary:
            return base64.b64decode(vocabulary[SENTENCEPIECE], validate=True)
    except ValueError as error:
        raise CheckpointError(f'the vocabulary in {source} is damaged: {error}') from error
    return vocabulary[WORDPIECE].split('\n') if WORDPIECE in vocabulary else None


def use_vocabulary(
    pipeline: Sequence[Mapping[str, Any]], vocab: list[str] | bytes | str | None
) -> list[dict[str, Any]]:
    """Return the transforms with ``vocab`` in every tokenizer, instead of the path that the config names."""
    return _with_tokenizers(pipeline, lambda config: config if vocab is None else dict(config, vocab=vocab))


def drop_vocabulary(pipeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the transforms without the path of a vocabulary, which is of one machine only."""
    return _with_tokenizers(pipeline, lambda config: {name: config[name] for name in config if name != 'vocab'})


def _with_tokenizers(
    pipeline: Sequence[Mapping[str, Any]], change: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the transforms with the config of every tokenizer changed."""
    return [
        dict(step, tokenizer=change(step['tokenizer'])) if isinstance(step.get('tokenizer'), Mapping) else dict(step)
        for step in pipeline
    ]
