"""Training of models that one GPU does not hold, by torch's FSDP2."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import EMAHook
from mmengine.model import BaseDataPreprocessor
from mmengine.registry import Registry
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import SGD, Optimizer

from soho.engine.dtypes import DTYPES
from soho.engine.hooks.fold_norms import FoldNormsHook
from soho.engine.retrieval_loops import PairScoringLoop
from soho.errors import UserError
from soho.registry import HOOKS, LOOPS, MODEL_WRAPPERS

LAYERS = ('BertLayer', 'PartialBertLayer', 'DecoderLayer', 'BasicBlock', 'Bottleneck')
"""Classes of the layers that models here repeat."""
FLOAT32 = MixedPrecisionPolicy(cast_forward_inputs=False)  # inputs are cast by autocast alone


@MODEL_WRAPPERS.register_module()
class FSDP2(nn.Module):
    """A model whose parameters, gradients and optimizer are sharded among the ranks (``fully_shard`` of torch).

    A layer is gathered when it computes and sharded again afterwards. What belongs to no layer (embeddings, heads) is
    gathered for the whole step. Buffers, as those of a visual dictionary, stay whole on every rank.
    Gradients are sharded and averaged in every backward pass, so that accumulation needs no more memory.

    Args:
        module: The model. It stays where it is until :meth:`shard`.
        wrap: Names of the classes of layers; by default those of :data:`LAYERS` that the model has.
        reshard_after_forward: Shard a layer again after its forward pass, and gather it a second time for the
            backward pass: less memory, half as many exchanges again.
        mixed_precision: ``param_dtype`` (``'bfloat16'``): what layers without batch-norm are gathered in, but for
            their layer norms, for an ``AmpOptimWrapper`` of that type, which otherwise keeps a copy of every weight
            until the backward pass; evaluation computes in it too. ``reduce_dtype``: what gradients are averaged in,
            by default float32.

    Raises:
        UserError: For another type, or a class that the model has not.
    """

    def __init__(
        self,
        module: nn.Module,
        wrap: Sequence[str] | None = None,
        reshard_after_forward: bool = True,
        mixed_precision: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.reshard_after_forward = reshard_after_forward
        self._policy = _read_policy(mixed_precision or {})
        present = {type(part).__name__ for part in module.modules() if part is not module}
        if wrap is not None and (absent := [name for name in wrap if name not in present]):
            raise UserError(
                f'wrap of model_wrapper_cfg names {absent[0]!r}, and the model has no module of this class; '
                f'it has {", ".join(sorted(present))}'
            )
        self._wrapped = set(LAYERS if wrap is None else wrap)

    def shard(self) -> dict[nn.Parameter, nn.Parameter]:
        """Shard the parameters among the ranks, on their devices; returns the new ones by the old ones.

        Weights are those that the model has, which all ranks have to have alike. A second call changes nothing.

        Raises:
            UserError: A parameter is a single number, which cannot be sharded.
        """
        if isinstance(self.module, FSDPModule):
            return {}
        before = dict(self.module.named_parameters(remove_duplicate=False))
        for name, parameter in before.items():
            if parameter.dim() == 0:
                raise UserError(f'FSDP2 shards no parameter that is a single number, and {name} is one: give it (1,)')
            parameter.data = parameter.data.contiguous()  # convolutions are laid out channels last
        # Inner layers first, as torch asks.
        for part in reversed(list(self.module.modules())):
            if type(part).__name__ in self._wrapped and part is not self.module:
                self._shard_layer(part)
        fully_shard(self.module, mp_policy=FLOAT32)
        for part in self.module.modules():
            if isinstance(part, BaseDataPreprocessor):
                part.to(next(self.module.parameters()).device)
        return {before[name]: parameter for name, parameter in self.module.named_parameters(remove_duplicate=False)}

    def _shard_layer(self, layer: nn.Module) -> None:
        policy = self._policy
        if policy.param_dtype not in (None, torch.float32):
            # Norms want float32 weights: those of batch-norm are too many to be gathered one by one.
            if any(isinstance(part, _NormBase) for part in layer.modules()):
                policy = FLOAT32
            else:
                for norm in layer.modules():
                    if isinstance(norm, nn.LayerNorm) and not isinstance(norm, FSDPModule):
                        fully_shard(norm, reshard_after_forward=self.reshard_after_forward, mp_policy=FLOAT32)
        fully_shard(layer, reshard_after_forward=self.reshard_after_forward, mp_policy=policy)

    def _autocast(self) -> AbstractContextManager:
        """What an optimizer's wrapper does in training, for evaluation with weights of a lower type."""
        dtype = self._policy.param_dtype
        enabled = dtype not in (None, torch.float32)
        return torch.autocast(get_device().split(':')[0], dtype) if enabled else nullcontext()

    @property
    def mesh(self) -> DeviceMesh:
        """The ranks among which the parameters are sharded."""
        sharded = (value for value in self.module.state_dict().values() if isinstance(value, DTensor))
        return next(sharded).device_mesh

    def forward(self, *args, **kwargs) -> Any:
        with self._autocast():
            return self.module(*args, **kwargs)

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        """See ``mmengine.model.BaseModel``."""
        model: Any = self.module
        # weights that are gathered in bfloat16 need inputs of it, also where AmpOptimWrapper would not cast
        with nullcontext() if getattr(optim_wrapper, 'casts', True) else self._autocast():
            return model.train_step(data, optim_wrapper)

    def val_step(self, data: Any) -> list:
        """See ``mmengine.model.BaseModel``."""
        model: Any = self.module
        with self._autocast():
            return model.val_step(data)

    def test_step(self, data: Any) -> list:
        """See ``mmengine.model.BaseModel``."""
        model: Any = self.module
        with self._autocast():
            return model.test_step(data)


def _read_policy(options: dict[str, str]) -> MixedPrecisionPolicy:
    known = {'param_dtype', 'reduce_dtype'}
    if odd := [name for name in options if name not in known]:
        raise UserError(f'mixed_precision of model_wrapper_cfg has no {odd[0]!r}; it has {", ".join(sorted(known))}')
    for name, value in options.items():
        if value not in DTYPES:
            raise UserError(f'mixed_precision.{name} is {value!r}; choose one of {", ".join(DTYPES)}')
    param_dtype, reduce_dtype = (DTYPES.get(options.get(name, '')) for name in ('param_dtype', 'reduce_dtype'))
    # Inputs are cast by autocast, which leaves alone what has to be float32, as masks of an attention.
    return MixedPrecisionPolicy(param_dtype, reduce_dtype or torch.float32, cast_forward_inputs=False)


def exchange_parameters(optimizer: Optimizer, new: dict[nn.Parameter, nn.Parameter]) -> None:
    """Let an optimizer that has not stepped yet have sharded parameters, see :meth:`FSDP2.shard`."""
    for group in optimizer.param_groups:
        group['params'][:] = [new.get(parameter, parameter) for parameter in group['params']]
    inner: Any = getattr(optimizer, 'inner', optimizer)  # of Lookahead
    if new and isinstance(inner, SGD):
        for group in inner.param_groups:
            group['fused'] = False  # torch has no rule for this kernel on sharded tensors
        inner._step_supports_amp_scaling = False  # which only the fused one does


def _class_of(part: Any, registry: Registry) -> Any:
    """The class of an object, or of what its config builds; ``None`` where that is not known."""
    kind = part.get('type') if isinstance(part, dict) else type(part)
    return registry.get(kind) if isinstance(kind, str) else kind


def check_sharding(cfg: Config) -> None:
    """Refuse a config of several processes with FSDP2 and a part that needs the whole model.

    Raises:
        UserError: Which, and what to do.
    """
    wrapper = cfg.get('model_wrapper_cfg') or {}
    if wrapper.get('type') != 'FSDP2' or cfg.get('launcher', 'none') == 'none':
        return
    hooks = [*(cfg.get('custom_hooks') or []), *(cfg.get('default_hooks') or {}).values()]
    for hook in hooks:
        kind = _class_of(hook, HOOKS)
        if isinstance(kind, type) and issubclass(kind, (EMAHook, FoldNormsHook)):
            raise UserError(
                f'{kind.__name__} copies the whole model, which FSDP2 shards among the ranks: leave out one of them'
                + (' (Lookahead also averages weights, and can be sharded)' if issubclass(kind, EMAHook) else '')
            )
    for name in ('val_cfg', 'test_cfg'):
        kind = _class_of(cfg.get(name) or {}, LOOPS)
        if isinstance(kind, type) and issubclass(kind, PairScoringLoop):
            raise UserError(
                f'{name} of the config is a {kind.__name__}, which asks parts of the model by themselves, and FSDP2 '
                'gathers the whole only: leave out model_wrapper_cfg for it'
            )
    if cfg.get('compile'):
        raise UserError('compile of the config does not go with FSDP2: leave out one of them')
    optimization = cfg.get('optim_wrapper') or {}
    wanted = (wrapper.get('mixed_precision') or {}).get('param_dtype', 'float32')
    if wanted != 'float32' and optimization.get('type') != 'AmpOptimWrapper':
        raise UserError(
            f'mixed_precision.param_dtype of model_wrapper_cfg is {wanted!r}, and optim_wrapper is no AmpOptimWrapper, '
            'which computes in this type: --amp takes one'
        )
