"""Checkpoint files from one layout to another, and the command that does it."""

import argparse
from collections.abc import Callable, Sequence

import torch
from safetensors.torch import save_file
from torch import Tensor

from soho.engine.checkpoint import CheckpointError, read_checkpoint, state_dict_of

Rename = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def convert_file(rename: Rename, source: str, out: str) -> int:
    """Write the weights of ``source`` under other names to ``out``.

    Args:
        rename: State dict to state dict; values are not touched.
        source: A checkpoint of torch or safetensors.
        out: ``.safetensors``, or else a file of torch with ``meta`` (epoch and
            iteration where known) and ``state_dict``.

    Returns:
        The number of entries written.

    Raises:
        soho.engine.checkpoint.CheckpointError: ``source`` cannot be read, or
            is not in the layout that ``rename`` takes.
    """
    checkpoint = read_checkpoint(source)
    try:
        state = rename(state_dict_of(checkpoint))
    except ValueError as error:
        raise CheckpointError(f'{source} cannot be converted: {error}') from error
    if out.endswith('.safetensors'):
        # The format has no aliases: an entry that shares memory is written out.
        save_file(
            {name: value.clone(memory_format=torch.contiguous_format) for name, value in state.items()},
            out,
            metadata=dict(format='pt'),
        )
    else:
        meta = checkpoint.get('meta', {})
        torch.save(dict(meta={k: meta[k] for k in ('epoch', 'iter') if k in meta}, state_dict=state), out)
    return len(state)


def run_command(rename: Rename, description: str, argv: Sequence[str] | None = None) -> None:
    """``CHECKPOINT OUT`` from the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', help='what is read: .pth, .bin or .safetensors')
    parser.add_argument('out', help='what is written: .pth or .safetensors')
    args = parser.parse_args(argv)
    try:
        print(f'{args.out}: {convert_file(rename, args.checkpoint, args.out)} entries')
    except (CheckpointError, FileNotFoundError) as error:
        parser.exit(1, f'{error}\n')
