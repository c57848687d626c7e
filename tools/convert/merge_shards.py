"""Write a sharded checkpoint (``CheckpointHook(sharded=True)``) as one file.

    python tools/convert/merge_shards.py CHECKPOINT OUT [--weights]

Everything reads sharded checkpoints as they are, this script included; one file is easier to hand on.
"""

import argparse
from collections.abc import Sequence

import torch

from soho.engine.checkpoint.read import read_checkpoint
from soho.errors import UserError, escape_what_cannot_be_printed
from soho.files import atomic_path

FOR_INFERENCE = ('meta', 'message_hub', 'state_dict')


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='the .pth beside the folder of shards')
    parser.add_argument('out', help='the file to write')
    parser.add_argument('--weights', action='store_true', help='leave out what only a run that goes on needs')
    args = parser.parse_args(argv)
    escape_what_cannot_be_printed()
    try:
        checkpoint = read_checkpoint(args.checkpoint)
        if args.weights:
            checkpoint = {key: checkpoint[key] for key in FOR_INFERENCE if key in checkpoint}
        with atomic_path(args.out) as path:
            torch.save(checkpoint, path)
    except (UserError, OSError) as error:
        parser.exit(1, f'error: {error}\n')
    print(f'{args.out}: {len(checkpoint.get("state_dict", {}))} entries')


if __name__ == '__main__':
    main()
