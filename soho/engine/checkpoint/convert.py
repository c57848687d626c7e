"""Checkpoint files from one layout to another, and the command that does it."""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from soho.engine.checkpoint.adapters import official_virtex
from soho.engine.checkpoint.read import CheckpointError, is_count, read_checkpoint, state_dict_of
from soho.engine.checkpoint.safetensors_file import write_safetensors
from soho.errors import UserError, clip, escape_what_cannot_be_printed
from soho.files import atomic_path

State = dict[str, Tensor]
Rename = Callable[[State], State]
Wrap = Callable[[State, dict[str, int]], dict[str, Any]]


def own_file(state: State, meta: dict[str, int]) -> dict[str, Any]:
    """``meta`` and ``state_dict``, as mmengine and the official SOHO have them."""
    return dict(meta=meta, state_dict=state)


def official_file(state: State, meta: dict[str, int]) -> dict[str, Any]:
    """As the release that ``state`` belongs to writes it; official VirTex has ``model`` and ``iteration``."""
    if official_virtex.is_official(state):
        return dict(model=state, iteration=meta.get('iter', -1))
    return own_file(state, meta)


def bare_file(state: State, meta: dict[str, int]) -> dict[str, Any]:
    """The weights alone, as torchvision and ``load_state_dict`` take them."""
    return state


def detectron2_file(state: State, meta: dict[str, int]) -> dict[str, Any]:
    """With what makes detectron2 find the names by itself."""
    return dict(model=state, __author__='soho', matching_heuristics=True)


def convert_file(rename: Rename, source: str, out: str, wrap: Wrap = own_file) -> int:
    """Write the weights of ``source`` under other names to ``out``.

    Args:
        rename: State dict to state dict; values are not touched.
        source: A checkpoint of torch or safetensors.
        out: ``.safetensors``, or else a file of torch.
        wrap: Weights and ``meta`` (``epoch`` and ``iter`` where known) to what a file of torch holds.

    Returns:
        The number of entries written.

    Raises:
        soho.engine.checkpoint.read.CheckpointError: ``source`` cannot be read, or
            is not in the layout that ``rename`` takes.
    """
    checkpoint = read_checkpoint(source)
    try:
        state = state_dict_of(checkpoint)
        if odd := [name for name, value in state.items() if not isinstance(value, Tensor)]:
            raise CheckpointError(f'{clip(odd[0])} is a {type(state[odd[0]]).__name__} and no tensor')
        state = rename(state)
    except ValueError as error:
        raise CheckpointError(f'{source} cannot be converted: {error}') from error
    if out.endswith('.safetensors'):
        write_safetensors(out, state, {})
    else:
        meta = checkpoint.get('meta')
        counts = {k: meta[k] for k in ('epoch', 'iter') if is_count(meta.get(k))} if isinstance(meta, dict) else {}
        with atomic_path(out) as path:
            torch.save(wrap(state, counts), path)
    return len(state)


def run_command(
    rename: Rename,
    description: str,
    argv: Sequence[str] | None = None,
    wrap: Wrap = own_file,
    locate: Callable[[str], str] = str,
) -> None:
    """``CHECKPOINT OUT`` from the command line.

    Args:
        rename, wrap: See :func:`convert_file`.
        description: Of the command.
        argv: The command line; by default that of the process.
        locate: What a person calls a checkpoint to its file.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'checkpoint', help='what is read: .pth, .bin or .safetensors, a work dir, or a name that `soho models` lists'
    )
    parser.add_argument('out', help='what is written: .pth or .safetensors')
    args = parser.parse_args(argv)
    escape_what_cannot_be_printed()
    try:
        if os.path.isdir(args.out):
            raise CheckpointError(f'{args.out} is a folder; OUT is the file to write')
        print(f'{args.out}: {convert_file(rename, locate(args.checkpoint), args.out, wrap)} entries')
    except (UserError, OSError) as error:
        parser.exit(1, f'error: {error}\n')
