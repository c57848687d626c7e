"""Official checkpoints of either method, in and out."""

from torch import Tensor

from soho.engine.checkpoint.adapters import official_soho, official_virtex
from soho.errors import UserError


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """An official state dict in this project's layout, bit for bit; its contents say of which release it is.

    Raises:
        UserError: It is in no official layout.
    """
    for release in (official_soho, official_virtex):
        renamed = release.map_names(state, ())
        if renamed is not None:
            return {renamed[name]: value for name, value in state.items()}
    raise UserError(
        f'not an official checkpoint of SOHO or VirTex; it begins with {", ".join(list(state)[:3]) or "nothing"}'
    )


def to_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """This project's state dict in the layout of the release that has such a model, bit for bit.

    Raises:
        ValueError: No official release has this model.
    """
    virtex = any(name.startswith(('language.output_bias', 'heads.classification.')) for name in state)
    return (official_virtex if virtex else official_soho).to_official(state)
