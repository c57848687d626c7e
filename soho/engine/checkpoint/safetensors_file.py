"""Files of safetensors: written whole or not at all, and for all to read."""

import os
from collections.abc import Mapping

import torch
from safetensors.torch import save_file
from torch import Tensor

from soho.files import atomic_path


def write_safetensors(path: str | os.PathLike, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts to a file of safetensors.

    Args:
        path: Path of the file.
        state: Tensors by name; two that share memory are written twice, since the format has no aliases.
        metadata: Texts of the header.

    Raises:
        OSError: The file cannot be written.
    """
    whole = {name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()}
    with atomic_path(path) as temporary:
        save_file(whole, temporary, metadata={'format': 'pt', **metadata})
        temporary.chmod(0o644)  # safetensors lets nobody else read it
