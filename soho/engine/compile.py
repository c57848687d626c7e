"""``compile`` of a config."""

from typing import Any

import torch
from torch import nn

from soho.engine.config_error import ConfigError

COMPILED = ('backbone', 'neck', 'language')
GRAPHS = 64  # that a part may be compiled to


def compile_parts(model: nn.Module, options: bool | dict[str, Any] | None) -> None:
    """Let ``torch.compile`` have the parts of a model that compute, at their first call.

    A length that has changed once is a variable of the next graph, so that
    there are few. With ``dynamic=False`` each shape has a graph of its own,
    with faster kernels; this needs ``collate_fn.canvas_sizes`` to bound the number
    of canvases, and suits the backbone only, since the transformer's lengths
    follow from what is hidden.

    Args:
        model: Its parts are compiled in place.
        options: Whether, or arguments of ``torch.compile``, among them ``parts`` (list): which parts of the model; by
            default the backbone, the neck and the language model.

    Raises:
        ConfigError: A part that the model lacks or never calls, or an unknown argument.
    """
    if not options:
        return
    options = dict(options) if isinstance(options, dict) else {}
    parts = {name: part for name, part in model.named_children() if not isinstance(part, nn.ModuleDict)}
    for name in options.pop('parts', [name for name in COMPILED if name in parts]):
        if name not in parts:
            raise ConfigError(
                f'compile.parts of the config names {name!r}; parts that can be compiled are {", ".join(parts)}'
            )
        try:
            parts[name].compile(**options)
        except TypeError as error:
            raise ConfigError(f'compile of the config: {error}') from error
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
