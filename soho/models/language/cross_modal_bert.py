"""Cross-modal BERT: one transformer over ``[text; visual]``.

Paper: SOHO, arXiv:2104.03135, section 3.3. Official file:
SOHO/models/languages/bert.py (``VLBertModel``).
"""
import os

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from transformers import BertConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import (
    BertEmbeddings,
    BertEncoder,
    BertLayer,
    eager_attention_forward,
)
from transformers.utils import cached_file

from soho.registry import MODELS, WEIGHT_INITIALIZERS


@MODELS.register_module()
class CrossModalBert(BaseModule):
    """transformers' BERT layers over text tokens followed by visual tokens.

    Text gets word, position and type embeddings, layer norm and dropout.
    Visual tokens come finished from the neck and get none of these.

    Args:
        pretrained: A weight file, a local folder that holds one, or a Hub name
            (``'bert-base-uncased'``) to take weights from; its first layers
            are used where it has more. ``None`` starts at random.
        with_cp: Activation checkpointing of the layers.
        attention: transformers' attention implementation.
        init_cfg: mmengine's initialisation.
        **config: Overrides of ``transformers.BertConfig``, for instance
            ``num_hidden_layers=3``.
    """

    def __init__(self,
                 pretrained: str | None = None,
                 with_cp: bool = False,
                 attention: str = 'sdpa',
                 init_cfg: dict | None = None,
                 **config) -> None:
        super().__init__(init_cfg)
        self.pretrained = pretrained
        self.config = BertConfig(**config, attn_implementation=attention)
        self.bert = nn.ModuleDict(dict(embeddings=BertEmbeddings(self.config), encoder=BertEncoder(self.config)))
        if with_cp:
            for layer in self.bert['encoder'].layer:
                layer.gradient_checkpointing = True
                layer._gradient_checkpointing_func = _checkpoint

    def init_weights(self) -> None:
        """Weights from ``pretrained``, or BERT's normal(0, 0.02).

        Raises:
            OSError: ``pretrained`` is neither a file, a folder with weights
                nor a reachable Hub name.
            soho.engine.checkpoint.CheckpointError: It holds another model.
        """
        if self.pretrained is None:
            self.apply(self._init_module)
            return
        WEIGHT_INITIALIZERS.build(dict(type='Pretrained', checkpoint=_weight_file(self.pretrained)))(self)

    def _init_module(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx].detach())

    @property
    def word_embeddings(self) -> Tensor:
        """(V, D) input embedding matrix."""
        return self.bert['embeddings'].word_embeddings.weight

    def forward(self,
                input_ids: Tensor,
                attention_mask: Tensor,
                visual: Tensor | None = None,
                visual_valid: Tensor | None = None,
                first_only: bool = False) -> tuple[Tensor, Tensor]:
        """
        Args:
            input_ids: (R, L) int64.
            attention_mask: (R, L), nonzero at real tokens.
            visual: (R, N, D) visual tokens; ``None`` reads text alone.
            visual_valid: (R, N) bool.
            first_only: Only [CLS] is wanted of the last layer, so the rest of
                that layer is not computed: of its 12 D^2 products a token, all
                but the 2 D^2 of keys and values.

        Returns:
            Fused features at the text positions (R, L, D) and at the visual
            positions (R, N, D); (R, 1, D) and (R, 0, D) for ``first_only``.
        """
        hidden = self.bert['embeddings'](input_ids)
        keep = attention_mask.bool()
        if visual is not None:
            hidden = torch.cat([hidden, visual.to(hidden.dtype)], dim=1)
            keep = torch.cat([keep, visual_valid], dim=1)
        # An additive float mask: a bool one is silently read as numbers by eager attention.
        bias = torch.zeros_like(keep, dtype=hidden.dtype).masked_fill_(~keep, torch.finfo(hidden.dtype).min)
        bias = bias[:, None, None, :]
        *layers, last = self.bert['encoder'].layer
        for layer in layers:
            hidden = layer(hidden, bias)
        if first_only:
            fused = _first_position(last, hidden, bias)
            return fused, fused[:, 1:]
        fused = last(hidden, bias)
        length = input_ids.size(1)
        return fused[:, :length], fused[:, length:]


def _weight_file(pretrained: str) -> str:
    """The file that holds the weights, downloaded where it is a Hub name."""
    if os.path.isfile(pretrained):
        return pretrained
    path = cached_file(pretrained, 'model.safetensors', _raise_exceptions_for_missing_entries=False)
    return path or cached_file(pretrained, 'pytorch_model.bin')


def _first_position(layer: BertLayer, hidden: Tensor, bias: Tensor) -> Tensor:
    """One BERT layer at position 0 only: (R, T, D) to (R, 1, D)."""
    attention = layer.attention.self
    first = hidden[:, :1]

    def heads(x: Tensor) -> Tensor:
        return x.unflatten(2, (attention.num_attention_heads, attention.attention_head_size)).transpose(1, 2)

    attend = ALL_ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, eager_attention_forward)
    context, _ = attend(
        attention, heads(attention.query(first)), heads(attention.key(hidden)), heads(attention.value(hidden)), bias,
        dropout=attention.dropout.p if layer.training else 0.0, scaling=attention.scaling)
    attended = layer.attention.output(context.flatten(2), first)
    return layer.output(layer.intermediate(attended), attended)


def _checkpoint(function, *args, **kwargs):
    return torch.utils.checkpoint.checkpoint(function, *args, use_reentrant=False, **kwargs)
