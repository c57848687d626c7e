"""Cross-modal BERT: one transformer over ``[text; visual]``.

Paper: SOHO, arXiv:2104.03135, section 3.3. Official file:
SOHO/models/languages/bert.py (``VLBertModel``).
"""

import os

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertEmbeddings, BertEncoder, BertLayer
from transformers.utils import cached_file

from soho.models.language.attention import BY_DEVICE, attend
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
        attention: One of transformers' attention implementations, or by default this project's choice for the device.
        init_cfg: mmengine's initialisation.
        **config: Overrides of ``transformers.BertConfig``, for instance
            ``num_hidden_layers=3``.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        with_cp: bool = False,
        attention: str = BY_DEVICE,
        init_cfg: dict | None = None,
        **config,
    ) -> None:
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
            soho.engine.checkpoint.read.CheckpointError: It holds another model.
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

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        visual: Tensor | None = None,
        visual_valid: Tensor | None = None,
        wanted: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """
        Args:
            input_ids: (R, L) int64.
            attention_mask: (R, L), nonzero at real tokens.
            visual: (R, N, D) visual tokens; ``None`` reads text alone.
            visual_valid: (R, N) bool.
            wanted: (M,) int64, positions that are wanted of the last layer
                beside [CLS], counted over all R rows of T = L + N. Of the
                others only the keys and values are computed there, 2 D^2 of
                12 D^2 products a token. By default all are wanted.

        Returns:
            Fused features at the text positions (R, L, D) and at the visual
            positions (R, N, D), zero where they are not wanted. If nothing
            beside [CLS] is: (R, 1, D) and (R, 0, D).
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
        fused = last(hidden, bias) if wanted is None else _at(last, hidden, bias, wanted)
        length = input_ids.size(1)
        return fused[:, :length], fused[:, length:]


def _weight_file(pretrained: str) -> str:
    """The file that holds the weights, downloaded where it is a Hub name."""
    if os.path.isfile(pretrained):
        return pretrained
    path = cached_file(pretrained, 'model.safetensors', _raise_exceptions_for_missing_entries=False)
    return path or cached_file(pretrained, 'pytorch_model.bin')


def _at(layer: BertLayer, hidden: Tensor, bias: Tensor, wanted: Tensor) -> Tensor:
    """One BERT layer (R, T, D) at [CLS] and at ``wanted`` only: to (R, T, D), or to (R, 1, D) where that is [CLS]."""
    rows, length, size = hidden.shape
    width = length if len(wanted) else 1
    first = torch.arange(rows, device=hidden.device)
    # Each place gets one value: [CLS], if it is wanted once more, goes to a place that is cut off.
    slots = torch.cat([first * width, torch.where(wanted % length == 0, rows * width, wanted)])
    wanted = torch.cat([first * length, wanted])  # (M,)

    def spread(values: Tensor) -> Tensor:
        """(M, D) to (R, width, D)."""
        places = values.new_zeros(rows * width + 1, size).index_copy(0, slots, values)
        return places[:-1].unflatten(0, (rows, width))

    def heads(x: Tensor) -> Tensor:
        return x.unflatten(2, (attention.num_attention_heads, attention.attention_head_size)).transpose(1, 2)

    attention = layer.attention.self
    asked = hidden.flatten(0, 1)[wanted]
    context = attend(
        heads(spread(attention.query(asked))),
        heads(attention.key(hidden)),
        heads(attention.value(hidden)),
        bias,
        attention.dropout.p if layer.training else 0.0,
    )
    context = context.transpose(1, 2).reshape(rows * width, size)[wanted if width > 1 else first]
    attended = layer.attention.output(context, asked)
    return spread(layer.output(layer.intermediate(attended), attended))


def _checkpoint(function, *args, **kwargs):
    return torch.utils.checkpoint.checkpoint(function, *args, use_reentrant=False, **kwargs)
