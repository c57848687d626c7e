"""Cross-modal BERT: one transformer over ``[text; visual]``.

Paper: SOHO, arXiv:2104.03135, section 3.3. Official file:
SOHO/models/languages/bert.py (``VLBertModel``).
"""

import os
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertEmbeddings, BertEncoder, BertLayer

from soho.datasets.storage.hub import find_file
from soho.models.language.attention import BY_DEVICE
from soho.models.language.partial_layer import PartialBertLayer
from soho.registry import MODELS, WEIGHT_INITIALIZERS


@MODELS.register_module()
class CrossModalBert(BaseModule):
    """BERT layers of transformers over text tokens followed by visual tokens.

    Text gets word, position and type embeddings, layer norm and dropout.
    Visual tokens are embedded by the neck and get none of these.

    Args:
        pretrained: A weight file, a local folder that holds one, or a Hub name
            (``'bert-base-uncased'``) to load weights from; if it has more
            layers, its first ones are used. ``None`` initialises at random.
        with_cp: Activation checkpointing of the layers.
        partial_last_layer: Compute the last layer only at positions that heads read; ``False`` computes all, with
            the same losses.
        attention: Name of an attention implementation of transformers; by default :func:`attend`.
        init_cfg: mmengine's initialisation.
        **config: Overrides of ``transformers.BertConfig``, for instance
            ``num_hidden_layers=3``.
    """

    defaults = dict(hidden_size=768, vocab_size=30522)
    """What ``config`` is without an override, for those who read a config before anything is built."""

    def __init__(
        self,
        pretrained: str | None = None,
        with_cp: bool = False,
        partial_last_layer: bool = True,
        attention: str = BY_DEVICE,
        init_cfg: dict | None = None,
        **config,
    ) -> None:
        super().__init__(init_cfg)
        self.pretrained = pretrained
        options: dict[str, Any] = dict(config, attn_implementation=attention)
        self.config = BertConfig(**options)
        encoder = BertEncoder(self.config)
        # torch's ModuleDict does not say of what class its modules are
        self.bert: Any = nn.ModuleDict(dict(embeddings=BertEmbeddings(self.config), encoder=encoder))
        if with_cp:
            for layer in list[Any](encoder.layer):
                layer.gradient_checkpointing = True
                layer._gradient_checkpointing_func = _checkpoint
        if partial_last_layer:
            last = encoder.layer[-1]
            assert isinstance(last, BertLayer)
            encoder.layer[-1] = PartialBertLayer(last)

    def init_weights(self) -> None:
        """Load weights from ``pretrained``, or initialise them as BERT does, from normal(0, 0.02).

        Raises:
            UserError: ``pretrained`` is neither a file, a folder with weights
                nor a reachable Hub name.
            soho.engine.checkpoint.read.CheckpointError: It holds another model.
        """
        if self.pretrained is None:
            self.apply(self._init_module)
            return
        WEIGHT_INITIALIZERS.build(dict(type='Pretrained', checkpoint=find_weights(self.pretrained)))(self)

    def _init_module(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx].detach())

    @property
    def word_embeddings(self) -> nn.Parameter:
        """(V, D) input embedding matrix, for output layers that are tied to it."""
        return self.bert['embeddings'].word_embeddings.weight

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        visual: Tensor | None = None,
        visual_valid: Tensor | None = None,
        output_positions: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """
        Args:
            input_ids: (R, L) int64.
            attention_mask: (R, L), nonzero at real tokens.
            visual: (R, N, D) visual tokens; ``None`` encodes the text alone.
            visual_valid: (R, N) bool.
            output_positions: (P,) int64, positions of the last layer that are
                needed besides [CLS], counted over all R rows of T = L + N; by
                default all, see :class:`PartialBertLayer`.

        Returns:
            Fused features at the text positions (R, L, D) and at the visual
            positions (R, N, D), NaN where they are not computed. If [CLS]
            alone is computed: (R, 1, D) and (R, 0, D).
        """
        hidden = self.bert['embeddings'](input_ids)
        keep = attention_mask.bool()
        if visual is not None:
            hidden = torch.cat([hidden, visual.to(hidden.dtype)], dim=1)
            assert visual_valid is not None, 'visual tokens come with their validity'
            keep = torch.cat([keep, visual_valid], dim=1)
        # An additive float mask: eager attention would silently treat a bool one as numbers.
        bias = torch.zeros_like(keep, dtype=hidden.dtype).masked_fill_(~keep, torch.finfo(hidden.dtype).min)
        bias = bias[:, None, None, :]
        *layers, last = self.bert['encoder'].layer
        for layer in layers:
            hidden = layer(hidden, bias)
        partial = isinstance(last, PartialBertLayer)
        fused = last(hidden, bias, output_positions) if partial else last(hidden, bias)
        length = input_ids.size(1)
        return fused[:, :length], fused[:, length:]


def find_weights(pretrained: str) -> str:
    """Path of a weight file: ``pretrained`` itself, or of the folder or the model on the Hub that it names.

    Raises:
        UserError: There is none, or the Hub cannot be reached.
    """
    if os.path.isfile(pretrained):
        return pretrained
    return find_file(pretrained, ('model.safetensors', 'pytorch_model.bin'), 'the pretrained language model')


def _checkpoint(function, *args, **kwargs):
    return checkpoint(function, *args, use_reentrant=False, **kwargs)
