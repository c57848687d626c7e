"""The hidden width D of a model, which its config states once: with its language model."""

import inspect
from collections.abc import Mapping
from typing import Any

from soho.errors import UserError
from soho.registry import MODELS

# Names by which a part takes D, where it cannot be built without.
_NAMES = ('hidden_size', 'out_channels')


def get_argument(part: Mapping[str, Any], name: str) -> Any:
    """Return what a part's config states for an argument, or else what the part takes by default; ``None`` if neither.

    Args:
        part: With ``type``.
        name: The argument. A class says in ``defaults`` what its catch-all takes.
    """
    maker = _maker(part)
    if name in part or maker is None:
        return part.get(name)
    parameter = inspect.signature(maker).parameters.get(name)
    if parameter is None:
        return getattr(maker, 'defaults', {}).get(name)
    return None if parameter.default is parameter.empty else parameter.default


def fill_widths(
    language: Mapping[str, Any], neck: dict | None, heads: Mapping[str, dict]
) -> tuple[dict | None, dict[str, dict]]:
    """Return the configs of neck and heads, which need not state the width of the language model.

    Args:
        language: Config of the language model, with ``hidden_size``.
        neck: Takes the width as ``out_channels``.
        heads: By name; they take it as ``hidden_size``.

    Raises:
        UserError: A part states another width.
    """
    width = get_argument(language, 'hidden_size')
    if width is None:
        return neck, dict(heads)
    filled = {name: _fill(head, f'heads.{name}', width) for name, head in heads.items()}
    return neck and _fill(neck, 'neck', width), filled


def _fill(part: dict, where: str, width: int) -> dict:
    maker = _maker(part)
    parameters = inspect.signature(maker).parameters if maker is not None else {}
    for name in _NAMES:
        if name in parameters and parameters[name].default is inspect.Parameter.empty:
            if part.get(name, width) != width:
                raise UserError(
                    f'model.{where}.{name} of the config is {part[name]}, and the hidden width of model.language '
                    f'{width}: leave the former out, and it will be the same'
                )
            return dict(part, **{name: width})
    return part


def _maker(part: Mapping[str, Any]) -> Any:
    return MODELS.get(part['type']) if isinstance(part.get('type'), str) else part.get('type')
