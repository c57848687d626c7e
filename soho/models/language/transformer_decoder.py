"""Transformer decoder with a key-value cache.

Paper: Attention Is All You Need, arXiv:1706.03762. Parameters are those of
torch's ``nn.TransformerDecoder``, under the same names; in addition, keys and
values of earlier positions are cached, and those of the image are computed
once and shared by all rows that attend to it.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soho.models.language.attention import attend


class KeysValues(NamedTuple):
    """Keys and values of an attention layer; ``H`` heads of size ``d``."""

    keys: Tensor
    """(R, H, T, d)"""
    values: Tensor
    """(R, H, T, d)"""


class DecoderLayer(nn.TransformerDecoderLayer):
    """Decoder layer: self-attention, cross-attention to the memory, feed-forward network.

    Args:
        hidden_size: D.
        num_heads: H.
        feedforward_size: Width of the feed-forward network, whose activation is GELU.
        dropout: Dropout rate of the attention weights and of the output of each sublayer.
        norm_first: Pre-norm: normalise the input of each sublayer instead of the sum after it.
    """

    def __init__(
        self, hidden_size: int, num_heads: int, feedforward_size: int, dropout: float, norm_first: bool
    ) -> None:
        super().__init__(
            hidden_size, num_heads, feedforward_size, dropout, F.gelu, batch_first=True, norm_first=norm_first
        )

    def forward(
        self, hidden: Tensor, memory: Tensor | KeysValues, mask: Tensor | None = None, past: KeysValues | None = None
    ) -> tuple[Tensor, KeysValues, KeysValues]:
        """
        Args:
            hidden: (R, L, D), the new positions of R rows.
            memory: (B, N, D) of B images, or its keys and values from an earlier step; rows are ordered image
                by image, R / B each.
            mask: (L, P + L) or (R, 1, L, P + L) bool, true where a position attends.
            past: Keys and values of the P positions before.

        Returns:
            (R, L, D), the keys and values of all P + L positions, and those of the memory.
        """
        if isinstance(memory, Tensor):
            memory = _keys_values(self.multihead_attn, memory)
        normed = self.norm1(hidden) if self.norm_first else hidden
        present = _keys_values(self.self_attn, normed)
        if past is not None:
            present = KeysValues(*(torch.cat(pair, dim=2) for pair in zip(past, present)))
        hidden = hidden + self.dropout1(_attend(self.self_attn, normed, present, mask))
        hidden = hidden if self.norm_first else self.norm1(hidden)

        normed = self.norm2(hidden) if self.norm_first else hidden
        # Cross-attention has no mask, so the rows of an image are one long row of queries.
        queries = normed.reshape(memory.keys.size(0), -1, normed.size(2))
        hidden = hidden + self.dropout2(_attend(self.multihead_attn, queries, memory).view_as(hidden))
        hidden = hidden if self.norm_first else self.norm2(hidden)

        normed = self.norm3(hidden) if self.norm_first else hidden
        hidden = hidden + self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(normed)))))
        return hidden if self.norm_first else self.norm3(hidden), present, memory


class TransformerDecoder(nn.Module):
    """Stack of decoder layers, with a final layer norm if they are pre-norm.

    Args:
        num_layers: Number of layers.
        hidden_size: D.
        **layer: See :class:`DecoderLayer`.
    """

    def __init__(self, num_layers: int, hidden_size: int, **layer) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(hidden_size, **layer) for _ in range(num_layers))
        self.norm = nn.LayerNorm(hidden_size) if layer['norm_first'] else nn.Identity()

    def forward(
        self,
        hidden: Tensor,
        memory: Tensor | list[KeysValues],
        mask: Tensor | None = None,
        past: list[KeysValues] | None = None,
    ) -> tuple[Tensor, list[KeysValues], list[KeysValues]]:
        """Arguments and results of :meth:`DecoderLayer.forward`, with a list item for each layer."""
        present, projected = [], []
        for i, layer in enumerate(self.layers):
            of_layer = memory if isinstance(memory, Tensor) else memory[i]
            hidden, keys_values, of_memory = layer(hidden, of_layer, mask, past and past[i])
            present.append(keys_values)
            projected.append(of_memory)
        return self.norm(hidden), present, projected


def _split_heads(projected: Tensor, attention: nn.MultiheadAttention) -> Tensor:
    """(R, T, D) to (R, H, T, d)."""
    return projected.unflatten(2, (attention.num_heads, attention.head_dim)).transpose(1, 2)


def _keys_values(attention: nn.MultiheadAttention, source: Tensor) -> KeysValues:
    size = attention.embed_dim  # of queries, whose weights come first
    both = F.linear(source, attention.in_proj_weight[size:], attention.in_proj_bias[size:])
    return KeysValues(*(_split_heads(part, attention) for part in both.chunk(2, dim=2)))


def _attend(attention: nn.MultiheadAttention, source: Tensor, target: KeysValues, mask: Tensor | None = None) -> Tensor:
    size = attention.embed_dim
    queries = F.linear(source, attention.in_proj_weight[:size], attention.in_proj_bias[:size])
    dropout = attention.dropout if attention.training else 0.0
    attended = attend(_split_heads(queries, attention), *target, mask, dropout)
    return attention.out_proj(attended.transpose(1, 2).flatten(2))
