"""Parameter groups by name pattern, as the official recipes write them."""

import re
from collections import defaultdict

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from soho.errors import UserError
from soho.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PatternConstructor(DefaultOptimWrapperConstructor):
    """Options for parameters whose name matches a pattern; a handful of groups in all.

    ``paramwise_cfg=dict(patterns={r'\\Abackbone\\.': dict(opt='sgd', lr_mult=100)})``
    gives the CNN to SGD at 100 times the learning rate. ``X_mult`` multiplies
    the optimizer's own ``X``; anything else is set as it is. The first
    matching pattern decides. Frozen parameters are left out.

    Raises:
        UserError: A pattern matches no parameter (a typing error would
            otherwise train with the wrong rate); ``X_mult`` without ``X``.
    """

    def _validate_cfg(self) -> None:
        unknown = set(self.paramwise_cfg) - {'patterns'}
        if unknown:
            raise UserError(f'paramwise_cfg has {sorted(unknown)}; PatternConstructor knows only "patterns"')

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        patterns: dict[str, dict] = self.paramwise_cfg['patterns']
        members = defaultdict(list)
        for name, param in module.named_parameters():
            if param.requires_grad:
                members[next((p for p in patterns if re.search(p, name)), None)].append(param)
        for pattern in patterns:
            if not any(re.search(pattern, name) for name, _ in module.named_parameters()):
                raise UserError(f'the pattern {pattern!r} of paramwise_cfg matches no parameter of the model')
        for pattern, matched in members.items():
            params.append(dict(params=matched, **self._options(patterns[pattern] if pattern is not None else {})))

    def _options(self, options: dict) -> dict:
        group = {}
        for name, value in options.items():
            if not name.endswith('_mult'):
                group[name] = value
                continue
            base = name[: -len('_mult')]
            if base not in self.optimizer_cfg:
                raise UserError(f'paramwise_cfg has {name}, but the optimizer config states no {base} to multiply')
            group[base] = self.optimizer_cfg[base] * value
        return group
