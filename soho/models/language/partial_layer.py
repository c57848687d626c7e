"""A BERT layer that computes only the positions that are needed.

Most positions of the last layer are read by no head: heads read [CLS], masked tokens and masked cells. Of the other
positions only keys and values are needed, 2 D^2 of the 12 D^2 products of a token.
"""

import torch
from torch import Tensor, nn
from transformers.models.bert.modeling_bert import BertLayer

from soho.models.language.attention import attend


class PartialBertLayer(nn.Module):
    """A BERT layer, with the same parameter names, computed at all positions or at a subset.

    Args:
        layer: The layer of transformers whose modules are reused.
    """

    def __init__(self, layer: BertLayer) -> None:
        super().__init__()
        self.attention = layer.attention
        self.intermediate = layer.intermediate
        self.output = layer.output

    def forward(self, hidden: Tensor, bias: Tensor, positions: Tensor | None = None) -> Tensor:
        """
        Args:
            hidden: (R, T, D).
            bias: (R, 1, 1, T) float, added to the attention scores.
            positions: (P,) int64, positions to compute besides [CLS] (the first of a row), counted over all R
                rows; ``None`` computes all.

        Returns:
            (R, T, D), NaN at positions that are not computed, so that a head that reads one fails at once
            instead of training on it; or (R, 1, D) where [CLS] alone is computed.
        """
        if positions is None:
            attended, _ = self.attention(hidden, bias)
            return self.output(self.intermediate(attended), attended)
        rows, length, size = hidden.shape
        width = length if len(positions) else 1
        first = torch.arange(rows, device=hidden.device)
        # Each place gets one value: a [CLS] that is listed again goes to an extra place, which is cut off.
        places = torch.cat([first * width, torch.where(positions % length == 0, rows * width, positions)])
        positions = torch.cat([first * length, positions])  # (P,)

        def spread(values: Tensor, fill: float) -> Tensor:
            """(P, D) to (R, width, D)."""
            table = values.new_full((rows * width + 1, size), fill).index_copy(0, places, values)
            return table[:-1].unflatten(0, (rows, width))

        attention = self.attention.self

        def split_heads(x: Tensor) -> Tensor:
            return x.unflatten(2, (attention.num_attention_heads, attention.attention_head_size)).transpose(1, 2)

        chosen = hidden.flatten(0, 1)[positions]
        context = attend(
            split_heads(spread(attention.query(chosen), 0.0)),
            split_heads(attention.key(hidden)),
            split_heads(attention.value(hidden)),
            bias,
            attention.dropout.p if self.training else 0.0,
        )
        context = context.transpose(1, 2).reshape(rows * width, size)[positions if width > 1 else first]
        attended = self.attention.output(context, chosen)
        return spread(self.output(self.intermediate(attended), attended), float('nan'))
