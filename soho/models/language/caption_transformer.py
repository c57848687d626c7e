"""Caption transformer of VirTex: logits of caption tokens given an image.

Paper: VirTex: Learning Visual Representations from Textual Annotations, CVPR
2021, arXiv:2006.06666, section 3. Source: kdexd/virtex,
virtex/modules/textual_heads.py (``TransformerDecoderTextualHead``).
"""

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from soho.models.decoding.decode_step import DecodeStep, State
from soho.models.language.text_embedding import TextEmbedding
from soho.models.language.transformer_decoder import KeysValues, TransformerDecoder
from soho.registry import MODELS

Memory = Tensor | list[KeysValues]


class CaptionOutput(NamedTuple):
    """Output of the caption transformer."""

    logits: Tensor
    """(R, L, V), or (P, V) at the given positions."""
    present: list[KeysValues]
    """Keys and values of all tokens up to the last, for each layer."""
    memory: list[KeysValues]
    """Keys and values of the image, for each layer; later steps take these instead of the memory."""


@MODELS.register_module()
class CaptionTransformer(BaseModule):
    """Transformer decoder that attends to the projected feature map, with an output layer tied to the embedding.

    The output layer is the word embedding with an additional bias. The backward
    direction shares all but the transformer, which is initialised as an exact copy.

    Args:
        visual_size: C, channels of the feature map.
        vocab_size: V.
        hidden_size: D.
        num_layers: Layers of each transformer.
        num_heads: Attention heads; by default heads of size 64, or one head if D is smaller.
        feedforward_size: 4 D by default.
        dropout: Dropout rate of the embedding and the transformer.
        norm_first: Use pre-norm layers.
        causal: A position attends to itself and those before it; ``False`` for masked language modelling.
        bidirectional: Add a second transformer, for reversed captions.
        max_length: Maximum length of a caption in tokens, with the special ones.
        padding_id: Token whose embedding is zero.
        initializer_range: Standard deviation of the initial weight matrices.
        init_cfg: mmengine's initialisation.
    """

    def __init__(
        self,
        visual_size: int,
        vocab_size: int,
        hidden_size: int,
        num_layers: int = 1,
        num_heads: int | None = None,
        feedforward_size: int | None = None,
        dropout: float = 0.1,
        norm_first: bool = False,
        causal: bool = True,
        bidirectional: bool = False,
        max_length: int = 30,
        padding_id: int = 0,
        initializer_range: float = 0.02,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.causal = causal
        self.padding_id = padding_id
        self.initializer_range = initializer_range
        self.visual_projection = nn.Linear(visual_size, hidden_size)
        self.embedding = TextEmbedding(vocab_size, hidden_size, max_length, dropout, padding_id)
        self.transformer = TransformerDecoder(
            num_layers,
            hidden_size,
            num_heads=num_heads or max(hidden_size // 64, 1),
            feedforward_size=feedforward_size or 4 * hidden_size,
            dropout=dropout,
            norm_first=norm_first,
        )
        self.backward_transformer = copy.deepcopy(self.transformer) if bidirectional else None
        self.output_bias = nn.Parameter(torch.empty(vocab_size).uniform_(-(hidden_size**-0.5), hidden_size**-0.5))

    def init_weights(self) -> None:
        """Initialise matrices from normal(0, ``initializer_range``); biases keep torch's default."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=self.initializer_range)
            if isinstance(module, nn.MultiheadAttention):
                nn.init.normal_(module.in_proj_weight, std=self.initializer_range)
        with torch.no_grad():
            self.embedding.words.weight[self.padding_id].zero_()
        if self.backward_transformer is not None:
            self.backward_transformer.load_state_dict(self.transformer.state_dict())

    @property
    def bidirectional(self) -> bool:
        return self.backward_transformer is not None

    def project_memory(self, feature: Tensor) -> Tensor:
        """(B, C, h, w) feature map to the memory (B, h * w, D) of both directions."""
        return self.visual_projection(feature.flatten(2).transpose(1, 2))

    def forward(
        self,
        memory: Memory,
        tokens: Tensor,
        lengths: Tensor | None = None,
        backward: bool = False,
        positions: Tensor | None = None,
        past: list[KeysValues] | None = None,
    ) -> CaptionOutput:
        """
        Args:
            memory: (B, N, D), see :meth:`project_memory`, or its keys and values from an earlier step.
            tokens: (R, L) int64, padded on the right; R / B captions per image, image by image.
            lengths: (R,) int64; ``None`` where a decoding step continues from ``past``.
            backward: ``tokens`` are reversed captions.
            positions: (P,) int64, positions whose logits are computed, counted over all R captions; by default all.
            past: Keys and values of the tokens before these, for each layer.

        Returns:
            Logits (R, L, V), or (P, V) at ``positions``, with keys and values of tokens and image for later steps.
        """
        transformer = self.backward_transformer if backward else self.transformer
        assert transformer is not None, 'backward needs a bidirectional model'
        start = past[0].keys.size(2) if past else 0
        mask = None if lengths is None else self._mask(tokens, lengths)
        hidden, present, projected = transformer(self.embedding(tokens, start), memory, mask, past)  # (R, L, D)
        if positions is not None:
            hidden = hidden.flatten(0, 1)[positions]  # (P, D)
        return CaptionOutput(F.linear(hidden, self.embedding.words.weight, self.output_bias), present, projected)

    def _mask(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Attention mask: (R, 1, 1, L) or, if causal, (R, 1, L, L) bool, true where a position attends."""
        positions = torch.arange(tokens.size(1), device=tokens.device)
        mask = (positions < lengths[:, None])[:, None, None]
        return mask & (positions <= positions[:, None]) if self.causal else mask

    def make_decode_step(self, memory: Memory) -> DecodeStep:
        """Forward decoding step for images with this memory (B, N, D)."""

        def step(tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
            nonlocal memory
            past = state and [KeysValues(*pair) for pair in zip(state[::2], state[1::2])]
            logits, present, memory = self(memory, tokens[:, None], past=past)
            return logits[:, -1], [tensor for pair in present for tensor in pair]

        return step
