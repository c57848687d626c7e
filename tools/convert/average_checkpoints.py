"""Average the weights of several checkpoints of one run.

    python tools/convert/average_checkpoints.py OUT CHECKPOINT CHECKPOINT...

The config and the counts are those of the last one named; the state of the optimizer is left out, so that OUT is
for testing, inference and fine-tuning. Batch-norm statistics are averaged too.
"""

import argparse
from collections.abc import Sequence

import torch

from soho.engine.checkpoint.average import average_states
from soho.engine.checkpoint.read import read_checkpoint, state_dict_of
from soho.errors import UserError, exit_on_user_error
from soho.files import atomic_path


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', help='what is written')
    parser.add_argument('checkpoints', nargs='+', metavar='CHECKPOINT', help='what is read, oldest first')
    args = parser.parse_args(argv)
    with exit_on_user_error():
        if len(set(args.checkpoints)) < len(args.checkpoints):
            raise UserError('a checkpoint is named twice')
        last = None
        states = {}
        for path in args.checkpoints:
            last = read_checkpoint(path)
            states[path] = state_dict_of(last)
        average = dict(state_dict=average_states(states))
        if last is not None and 'meta' in last:
            average['meta'] = last['meta']
        with atomic_path(args.out) as path:
            torch.save(average, path)
    print(f'{args.out}: the mean of {len(states)} checkpoints, {len(average["state_dict"])} entries')


if __name__ == '__main__':
    main()
