"""Word and position embedding of token ids."""

import torch
from torch import Tensor, nn


class TextEmbedding(nn.Module):
    """Sum of word and position embedding, layer norm, dropout; zero at padding.

    Source: kdexd/virtex, virtex/modules/embedding.py (``WordAndPositionalEmbedding``).

    Args:
        vocab_size: V.
        hidden_size: D.
        max_length: Maximum length of a text in tokens.
        dropout: Dropout rate after the layer norm.
        padding_id: Token whose output is zero at every position.
    """

    def __init__(self, vocab_size: int, hidden_size: int, max_length: int, dropout: float, padding_id: int) -> None:
        super().__init__()
        self.padding_id = padding_id
        self.words = nn.Embedding(vocab_size, hidden_size, padding_idx=padding_id)
        self.positions = nn.Embedding(max_length, hidden_size)
        self.layer_norm = nn.LayerNorm(hidden_size, eps=1e-8)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:
        """
        Args:
            tokens: (R, L) int64.
            start: Position of the first token.

        Returns:
            (R, L, D).
        """
        positions = torch.arange(start, start + tokens.size(1), device=tokens.device)
        embedded = self.dropout(self.layer_norm(self.words(tokens) + self.positions(positions)))
        return embedded * (tokens != self.padding_id).unsqueeze(-1)
