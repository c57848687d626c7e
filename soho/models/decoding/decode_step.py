"""Interface between a decoding procedure and a language model."""

from collections.abc import Callable

from torch import Tensor

State = list[Tensor]
"""Cached state of a model for R partial texts: tensors whose first dimension is R."""

DecodeStep = Callable[[Tensor, State | None], tuple[Tensor, State]]
"""Function from the last token of each text (R,) and the state of those before it (``None`` at the
start) to logits (R, V) of the next token and the new state."""


def select(state: State, rows: Tensor) -> State:
    """State of texts that continue the given ``rows`` (int64 indices, repeats allowed)."""
    return [tensor.index_select(0, rows) for tensor in state]
