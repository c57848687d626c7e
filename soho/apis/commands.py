"""The commands that ask models: ``soho ask``, ``soho caption``, ``soho features`` and ``soho models``.

``tools/predict.py`` runs the same. Nothing is imported here that takes long, so that a help comes at once.
"""

import argparse
import fnmatch
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, tee
from typing import Any

from soho.errors import UserError, count_of

DEFAULT_VQA = 'soho_vqa_synthetic'
DEFAULT_CAPTIONER = 'virtex_captions_synthetic'
QUESTIONS = 16  # about one image that are asked together
WORDS = 8  # of the visual dictionary that are named
CHUNK = 256  # images whose features are in memory, and lost where a run stops


def ask(argv: Sequence[str]) -> None:
    """Answer questions about an image, a folder, or the rows of a table."""
    parser = _parser('ask', ask)
    parser.add_argument(
        'images', help='image, http(s)://, folder, zip, or a table (csv, tsv, jsonl, json) with columns image, question'
    )
    parser.add_argument('question', nargs='?', help='asked about every image; a table may have its own')
    _add_model_options(parser, DEFAULT_VQA)
    _add_table_options(parser)
    parser.add_argument('--top', type=int, default=5, metavar='K', help='answers of a question (default 5)')
    parser.add_argument('--explain', metavar='FILE.png', help='write where in the image the answer came from')
    _add_words_option(parser)
    args = parser.parse_intermixed_args(argv)  # an option may stand between picture and question

    from soho.apis.tables import read_rows, single_image

    rows = read_rows(args.images, args.image_dir, question=args.question)
    _check_drawing(args, single_image(args.images))
    model = load_model(args, 'VQA')
    _draw_words(model, rows[0]['image'], args.words)
    if args.explain:
        found = model.explain(rows[0]['image'], rows[0]['question'], top_k=args.top)
        found.draw().save(args.explain)
        _print_answers(found.result)
    elif single_image(args.images) and not args.out:
        _print_answers(model(rows[0]['image'], rows[0]['question'], top_k=args.top))
    else:

        def answer(part: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            asked, queried = tee(_group_by_image(part))
            queries = (model.query(rows[0]['image'], [row['question'] for row in rows]) for rows in queried)
            for rows, scores in zip(asked, model.predict(queries, return_errors=True)):
                error = _error(scores)
                yield from (error or dict(answers=model.best(scores[i], args.top)) for i in range(len(rows)))

        _write_rows(rows, ('image', 'question'), answer, args)


def caption(argv: Sequence[str]) -> None:
    """Write captions of an image, a folder, or the rows of a table."""
    parser = _parser('caption', caption)
    parser.add_argument(
        'images', help='image, http(s)://, folder, zip, or a table (csv, tsv, jsonl, json) with a column image'
    )
    _add_model_options(parser, DEFAULT_CAPTIONER)
    _add_table_options(parser)
    parser.add_argument('--explain', metavar='FILE.png', help='write where in the image the caption came from')
    args = parser.parse_args(argv)

    from soho.apis.tables import read_rows, single_image

    rows = read_rows(args.images, args.image_dir)
    _check_drawing(args, single_image(args.images))
    model = load_model(args, 'Captioner')
    if args.explain:
        found = model.explain(rows[0]['image'])
        found.draw().save(args.explain)
        print(found.result['caption'])
    elif single_image(args.images) and not args.out:
        print(model(rows[0]['image'])['caption'])
    else:

        def describe(part: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
            queries = (model.query(row['image']) for row in part)
            for result in model.predict(queries, return_errors=True):
                yield _error(result) or result

        _write_rows(rows, ('image',), describe, args)


def features(argv: Sequence[str]) -> None:
    """Write the feature vectors of images to an array of numpy."""
    parser = _parser('features', features)
    parser.add_argument('images', help='image, folder, zip, or a table (csv, tsv, jsonl, json) with a column image')
    parser.add_argument('--out', metavar='FILE.npy', type=_npy, help='(N, C) float32; the names go to FILE.json')
    _add_words_option(parser)
    parser.add_argument('--normalize', action='store_true', help='vectors of length 1')
    parser.add_argument('--image-dir', metavar='DIR', help='folder of the images of a table (default: its own)')
    _add_model_options(parser, DEFAULT_VQA)
    args = parser.parse_args(argv)
    if not args.out and not args.words:
        parser.error('give --out FILE.npy, or --words FILE.png')

    from soho.apis.tables import read_rows, single_image, write_features

    rows = read_rows(args.images, args.image_dir)
    _check_drawing(args, single_image(args.images))
    model = load_model(args, 'FeatureExtractor')
    _draw_words(model, rows[0]['image'], args.words)
    if args.out:
        write_features(model, rows, args.out, args.normalize, CHUNK, args.quiet)


def models(argv: Sequence[str]) -> None:
    """List the models that ship with soho and those that were published."""
    parser = _parser('models', models)
    parser.add_argument('pattern', nargs='?', default='', help="part of a name, or a pattern such as 'vqa*'")
    parser.add_argument('--markdown', action='store_true', help='write docs/model_zoo.md to the screen')
    args = parser.parse_args(argv)

    from soho.apis.model_zoo import describe_entries, describe_zoo, read_zoo

    if args.markdown:
        print(describe_zoo(), end='')
        return
    found = {n: e for n, e in read_zoo().items() if fnmatch.fnmatch(n.lower(), f'*{args.pattern.lower()}*')}
    if not found:
        raise UserError(f'no model is called like {args.pattern!r}; `soho models` lists them all')
    width = max(map(len, found))
    for name, line in describe_entries(found).items():
        print(f'  {name:{width}}  {line}'.rstrip())


def _parser(name: str, command: Callable) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f'soho {name}', description=command.__doc__)


def _jsonl(name: str) -> str:
    if not name.endswith('.jsonl'):
        raise argparse.ArgumentTypeError(f'{name} does not end in .jsonl: results are a line of json a row')
    return name


def _npy(name: str) -> str:
    if not name.endswith('.npy'):
        raise argparse.ArgumentTypeError(f'{name} does not end in .npy')
    return name


def _add_model_options(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        '-m',
        '--model',
        default=default,
        help=f'checkpoint, work dir, http(s)://, Hub id, or a name that `soho models` lists (default {default})',
    )
    add_checkpoint_options(parser)
    add_device_options(parser)
    parser.add_argument('--batch-size', type=int, help='images of a batch')
    parser.add_argument('-q', '--quiet', action='store_true', help='no progress bar')


def add_checkpoint_options(parser: argparse.ArgumentParser) -> None:
    """Add what is given with a checkpoint, whatever it is asked."""
    parser.add_argument('--config', help='config of a checkpoint that does not have its own, such as an official one')
    parser.add_argument('--class-names', metavar='FILE', help='answers of a checkpoint without, as *_data_vqa.json')
    parser.add_argument('--vocabulary', help='vocab.txt or .model of a checkpoint without')


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add where a model computes, and in what."""
    parser.add_argument('--device', help='such as cuda or cpu; by default a GPU if there is one')
    parser.add_argument('--dtype', choices=('float32', 'float16', 'bfloat16'), help='default: float16 on a GPU')


def _add_table_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--image-dir', metavar='DIR', help='folder of the images of a table (default: its own)')
    parser.add_argument(
        '--out',
        metavar='FILE.jsonl',
        type=_jsonl,
        help='write here instead of to the screen, a line of json a row, with the other columns of a table; an '
        'interrupted run goes on there',
    )


def _add_words_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--words', metavar='FILE.png', help='write which words of the visual dictionary the image holds'
    )


def _check_drawing(args: argparse.Namespace, single: bool) -> None:
    """Raise ``UserError`` where a picture of several images is asked for."""
    for option in ('explain', 'words'):
        if getattr(args, option, None) and not single:
            raise UserError(f'--{option} draws one picture: give one image')


def _draw_words(model: Any, image: Any, path: str | None) -> None:
    """Write the picture tinted by its dictionary words, and name the most frequent on the error stream."""
    if path:
        found = model.find_words(image)
        found.picture.save(path)
        shares = ', '.join(f'{entry["word"]} ({entry["share"]:.0%})' for entry in found.words[:WORDS])
        print(f'{path}: words {shares}{", ..." if found.words[WORDS:] else ""}', file=sys.stderr)


def load_model(args: argparse.Namespace, kind: str) -> Any:
    """The inferencer of a command line, on a machine that is all its own.

    Args:
        args: Parsed, with the options of :func:`add_checkpoint_options` and :func:`add_device_options`, ``model``
            and ``batch_size``.
        kind: Name in :mod:`soho.apis`; ``load`` finds the class by itself.
    """
    from soho.apis.sources import locate_checkpoint

    locate_checkpoint(args.model)  # a name that is none is refused before torch is imported

    import soho.apis as apis
    from soho.platform import keep_freed_memory, use_onednn_products

    keep_freed_memory()
    model = getattr(apis, kind)(
        args.model,
        config=args.config,
        class_names=args.class_names,
        vocabulary=args.vocabulary,
        device=args.device,
        dtype=args.dtype,
        batch_size=args.batch_size,
    )
    if model.device.type == 'cpu':
        use_onednn_products()
    return model


def _group_by_image(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows that follow each other and are of one image, which then goes through the CNN once."""
    for _, of_image in groupby(rows, key=lambda row: row['name']):
        together = list(of_image)
        yield from (together[first : first + QUESTIONS] for first in range(0, len(together), QUESTIONS))


def _error(result: Any) -> dict[str, str] | None:
    return dict(error=str(result)) if isinstance(result, Exception) else None


def _print_answers(answers: list[dict[str, Any]]) -> None:
    width = max((len(item['answer']) for item in answers), default=0)
    for item in answers:
        print(f'{item["answer"]:{width}}  {item["score"]:.3f}')


def _write_rows(
    rows: list[dict[str, Any]],
    columns: Sequence[str],
    predict: Callable[[list[dict[str, Any]]], Iterator[dict[str, Any]]],
    args: argparse.Namespace,
) -> None:
    """A line of json a row, to the screen or to the end of a file that holds the first of them already."""
    from soho.apis.tables import open_results, progress

    if args.out:  # a run that goes on must not mix the answers of two models
        rows, columns = [dict(row, model=args.model) for row in rows], (*columns, 'model')
    with open_results(args.out, rows, columns) as (out, done):
        broken = 0
        left = rows[done:]
        for row, result in progress(zip(left, predict(left)), done, len(rows), args.quiet or not args.out):
            broken += 'error' in result
            named = {name: row['name' if name == 'image' else name] for name in columns}
            record = named | row['others'] | result
            out.write(json.dumps(record, ensure_ascii=False) + '\n')
            out.flush()
    if args.out:
        with_error = f', {broken} of them with an error' if broken else ''
        print(f'{args.out}: {count_of(len(rows), "row")}{with_error}', file=sys.stderr)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = dict(ask=ask, caption=caption, features=features, models=models)


def main(argv: Sequence[str] | None = None) -> None:
    """``tools/predict.py``: the name of a command, then its command line."""
    from soho.errors import exit_on_user_error

    argv = sys.argv[1:] if argv is None else list(argv)
    with exit_on_user_error():
        if not argv or argv[0] not in COMMANDS:
            names = ', '.join(COMMANDS)
            said = f'{os.path.basename(sys.argv[0])} COMMAND ...: COMMAND is one of {names}'
            if argv in ([], ['-h'], ['--help']):
                print(said)
                return
            raise UserError(f'there is no command {argv[0]}: {said}')
        COMMANDS[argv[0]](argv[1:])
