"""What a decoding procedure asks of a language model."""

from collections.abc import Callable

from torch import Tensor

State = list[Tensor]
"""What a model remembers of R partial texts: tensors whose first dimension is R."""

DecodeStep = Callable[[Tensor, State | None], tuple[Tensor, State]]
"""The newest token of each text (R,) and the memory of those before it (``None`` at the start)
to logits (R, V) of the next token and the new memory."""


def select(state: State, rows: Tensor) -> State:
    """The memory of texts that continue ``rows`` (int64), each any number of times."""
    return [tensor.index_select(0, rows) for tensor in state]
