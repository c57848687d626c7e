"""Count the parameters and the floating-point operations of a config's model, by part.

    python tools/analysis/get_flops.py CONFIG [--shape H W] [--tokens N] [--cfg-options KEY=VALUE ...]

Counted is the forward pass of a training step for one sample: one picture of H x W pixels (or as many as the task
compares) with one sentence of N tokens, of which 15 % are hidden where words are. A multiplication and its addition are
two operations. Convolutions and matrix products are counted, with those of attention; what is done element by element,
such as norms and activations, is not. No weights are read and no data are needed.
"""

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from soho.datasets.batch import FIELDS, MODEL_INPUTS
from soho.engine import load_config
from soho.engine.command_line import add_config_options
from soho.errors import UserError, exit_on_user_error
from soho.models.heads.base import Head
from soho.models.soho import SOHO
from soho.models.virtex import VirTex
from soho.registry import MODELS

HIDDEN = 0.15  # share of the tokens that are targets
REST = 'rest'


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--shape', nargs=2, type=int, default=(224, 224), metavar=('H', 'W'), help='default: 224 224')
    parser.add_argument('--tokens', type=int, default=16, metavar='N', help='of a sentence, default: 16')
    add_config_options(parser)
    args = parser.parse_args(argv)
    MMLogger.get_current_instance().setLevel(logging.WARNING)  # what is printed is the table and nothing else
    with exit_on_user_error():
        if min(args.shape) < 1 or args.tokens < 3:
            raise UserError('a picture has a pixel at least, and a sentence three tokens: [CLS], a word and [SEP]')
        cfg = load_config(args.config, args.cfg_options)
        init_default_scope('soho')
        model = MODELS.build(cfg.model).eval()
        if not isinstance(model, (SOHO, VirTex)):
            raise UserError(f'{args.config} builds a {type(model).__name__}; counted are SOHO and VirTex')
        batch = model.data_preprocessor(make_batch(model, tuple(args.shape), args.tokens))
        flops = count_flops(parts_of(model), lambda: model(mode='loss', **batch))
    print(format_table(count_parameters(parts_of(model)), flops))


def parts_of(model: SOHO | VirTex) -> dict[str, nn.Module]:
    """The parts of a model that the table has a row for."""
    parts = {name: part for name in ('backbone', 'neck', 'language') if (part := getattr(model, name, None))}
    return {**parts, **{f'heads.{name}': head for name, head in model.heads.items()}}


def make_batch(model: SOHO | VirTex, shape: tuple[int, int], tokens: int) -> dict[str, Tensor]:
    """One sample with every field that the model and its heads read, in the shapes of the batch table.

    Args:
        model: What reads it.
        shape: Height and width of a picture in pixels.
        tokens: L.

    Raises:
        UserError: A head reads a field that the table has not, or that says where objects are.
    """
    heads: list[Head] = list(model.heads.values())
    read = {*MODEL_INPUTS, *(name for head in heads for name in head.required_fields('loss'))}
    images = max((head.num_images for head in heads), default=1)
    sizes: dict[str | int, int] = {'B': 1, 'B*M': images, 'S': 1, 'L': tokens, 'K': 1, 'H': shape[0], 'W': shape[1]}
    batch = {}
    for name in sorted(read):
        if name not in FIELDS or not all(isinstance(size, int) or size in sizes for size in FIELDS[name].shape):
            raise UserError(f'a head of this model reads {name}, of which no random one can be made')
        field = FIELDS[name]
        lengths = [size if isinstance(size, int) else sizes[size] for size in field.shape]
        batch[name] = torch.ones(lengths, dtype=getattr(torch, field.dtype))
    hidden = torch.arange(tokens) < max(1, round(HIDDEN * tokens))
    given: dict[str, Any] = dict(
        image_size=torch.tensor([shape] * images),
        mlm_labels=torch.where(hidden, 1, -100)[None, None],
        masked_labels=hidden.long()[None],
        mvm_cell=torch.zeros(images),
        answer_labels=torch.zeros(1, 1, 1, dtype=torch.int64),
        attribute_labels=torch.zeros(1, 1, dtype=torch.int64),
        caption_lengths=torch.tensor([tokens]),
    )
    return {name: given.get(name, value) for name, value in batch.items()}


def count_parameters(parts: Mapping[str, nn.Module]) -> dict[str, int]:
    """Parameters of each part; one that several parts share counts for the first."""
    seen: set[int] = set()
    counts = {}
    for name, part in parts.items():
        own = [parameter for parameter in part.parameters() if id(parameter) not in seen]
        seen.update(map(id, own))
        counts[name] = sum(parameter.numel() for parameter in own)
    return counts


def count_flops(parts: Mapping[str, nn.Module], run: Callable[[], Any]) -> dict[str, int]:
    """Floating-point operations that ``run`` does in each part, and in none (``'rest'``).

    A part is at work while any module in it is, or the ``loss`` of a head, which calls layers without ``forward``.
    """
    flops = dict.fromkeys((*parts, REST), 0)
    depth = dict.fromkeys(parts, 0)
    with torch.no_grad(), ExitStack() as stack, FlopCounterMode(display=False) as counter:
        for name, part in parts.items():

            def enter(*_, name: str = name) -> None:
                if not depth[name]:
                    flops[name] -= counter.get_total_flops()
                depth[name] += 1

            def leave(*_, name: str = name) -> None:
                depth[name] -= 1
                if not depth[name]:
                    flops[name] += counter.get_total_flops()

            def enter_and_leave(*args, loss: Callable, enter: Callable = enter, leave: Callable = leave) -> Any:
                enter()
                losses = loss(*args)
                leave()
                return losses

            for module in part.modules():
                stack.callback(module.register_forward_pre_hook(enter).remove)
                stack.callback(module.register_forward_hook(leave).remove)
            if isinstance(part, Head):
                stack.enter_context(patch.object(part, 'loss', partial(enter_and_leave, loss=part.loss)))
        run()
    flops[REST] = counter.get_total_flops() - sum(flops.values())
    return flops


def format_table(parameters: Mapping[str, int], flops: Mapping[str, int]) -> str:
    """A row a part that computes something or has parameters, and the total."""
    whole = sum(flops.values())
    rows = [('part', 'parameters', 'GFLOPs', 'share %')]
    for name, count in [*flops.items(), ('total', whole)]:
        own = sum(parameters.values()) if name == 'total' else parameters.get(name, 0)
        if own or count:
            rows.append((name, f'{own:,}', f'{count / 1e9:.3f}', f'{100 * count / max(whole, 1):.1f}'))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        f'{row[0]:{widths[0]}}' + ''.join(f'  {c:>{w}}' for c, w in zip(row[1:], widths[1:])) for row in rows
    )


if __name__ == '__main__':
    main()
