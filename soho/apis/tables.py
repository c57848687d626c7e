"""Images and questions from folders and tables, and results in files that an interrupted run goes on with."""

import json
import os
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from soho.apis.images import ADDRESSES, is_collection, list_images, name_some, open_images
from soho.datasets.storage.arrays import read_arrays
from soho.datasets.storage.image_store import ImageMissingError
from soho.datasets.storage.json_files import load_json, write_json
from soho.datasets.storage.names import check_name
from soho.datasets.storage.tables import ENDINGS, read_table
from soho.errors import UserError, clip, count_of, enumerate_names, quote
from soho.files import LONGEST_TEXT, atomic_path, atomic_write

if TYPE_CHECKING:  # torch with it, which a table that cannot be read does without
    from soho.apis.feature_extractor import FeatureExtractor

RESULTS = ('answers', 'caption', 'error', 'model', 'score')
"""Names that a line of results has of its own."""


def single_image(source: str) -> bool:
    """Whether a command line names one image, and neither a folder nor a table."""
    return not (is_collection(source) or source.lower().endswith(ENDINGS))


def read_rows(source: str, image_dir: str | None = None, **defaults: str | None) -> list[dict[str, Any]]:
    """What a person wants results for.

    Args:
        source: Image, folder, zip, or table (see :func:`soho.datasets.storage.tables.read_table`) with a
            column ``image`` (or ``file_name``).
        image_dir: Folder of a table's images; by default that of the table. Its rows may name none outside, since a
            table may be somebody else's; with ``'/'`` they may name any.
        **defaults: Columns that are wanted besides, and their values where a row has none.

    Returns:
        For each row ``image`` (what an inferencer takes), ``name`` (what the person calls it), ``defaults``, and
        ``others``: the further columns of a table.

    Raises:
        UserError: A row lacks a column, or names an image elsewhere; the table has no rows; there is no such image.
        FileNotFoundError: There is no such table.
    """
    if '://' not in source and not os.path.exists(os.path.expanduser(source)):
        if source.lower().endswith(ENDINGS):
            raise UserError(f'there is no table {source}')
        raise ImageMissingError(f'there is no image {source}')
    if not source.lower().endswith(ENDINGS):
        names = list_images(source) if is_collection(source) else [source]
        images = open_images(source, names) if is_collection(source) else names
        rows = [dict(image=image, name=name, others={}) for image, name in zip(images, names)]
        return [_complete(row, defaults, source) for row in rows]
    folder = os.path.expanduser(image_dir or os.path.dirname(source) or '.')
    rows = []
    for where, record in read_table(source):
        name = record.get('image') or record.get('file_name')
        if not isinstance(name, str) or not name:
            raise UserError(f"{where} has no 'image', the path of a picture; it has {enumerate_names(record)}")
        image = name if name.startswith(ADDRESSES) else _place(name, folder, where)
        values = {key: record.get(key) for key in defaults}
        others = {
            f'input_{key}' if key in RESULTS else key: value
            for key, value in record.items()
            if key not in ('image', 'file_name', *defaults)
        }
        rows.append(_complete(dict(values, image=image, name=name, others=others), defaults, where))
    if not rows:
        raise UserError(f'{source} has no rows')
    return rows


def _place(name: str, folder: str, where: str) -> str:
    """Path of an image that a table names, relative to the folder of its images or, of one in there, absolute.

    Raises:
        UserError: It lies elsewhere.
    """
    inner = name.removeprefix(os.path.join(os.path.abspath(folder), ''))
    try:
        check_name(inner)
    except UserError as error:
        raise UserError(
            f'{where} names the image {quote(name)}, which does not lie in {clip(folder)}: --image-dir DIR says where '
            "a table's images are, and with --image-dir / they may be anywhere, by absolute paths"
        ) from error
    return os.path.join(folder, inner)


@contextmanager
def open_results(
    path: str | None, rows: Sequence[dict[str, Any]], columns: Sequence[str]
) -> Generator[tuple[IO[str], int], None, None]:
    """Yield where results are written, a line of json a row, and how many rows are there already.

    Args:
        path: File, or None for the screen. A last line that is not complete is cut off.
        rows: All rows, of :func:`read_rows`.
        columns: That a result repeats of its row.

    Raises:
        UserError: The file holds the results of other rows.
    """
    if path is None:
        yield sys.stdout, 0
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'ab+') as file:
        file.seek(0)
        done, complete = 0, 0
        while (line := file.readline(LONGEST_TEXT)).endswith(b'\n'):
            _check_result(path, line, done, rows, columns)
            done, complete = done + 1, file.tell()
        file.truncate(complete)
    with open(path, 'a', encoding='utf-8') as file:
        yield file, done


def progress(items: Iterable[Any], done: int, total: int, quiet: bool) -> Iterable[Any]:
    """The items under a progress bar on a terminal's error stream."""
    return tqdm(items, initial=done, total=total, disable=quiet or None, unit='image', file=sys.stderr, leave=False)


def write_features(
    extractor: 'FeatureExtractor',
    rows: Sequence[dict[str, Any]],
    path: str,
    normalize: bool = False,
    chunk: int = 256,
    quiet: bool = False,
) -> None:
    """Write the vectors of images to ``path``, (N, C) float32, and their names beside it.

    Broken images have a row of NaN and are named. Every ``chunk`` images are kept in ``path + '.part'`` until all are
    there, so that an interrupted run goes on.

    Args:
        extractor: The model.
        rows: Of :func:`read_rows`.
        path: ``.npy``.
        normalize: See :meth:`FeatureExtractor.__call__`.
        chunk: Images of a part.
        quiet: Show no progress.

    Raises:
        UserError: The parts are those of other images or damaged, or no image can be read.
    """
    names = [row['name'] for row in rows]
    parts = Path(f'{path}.part')
    plan = dict(images=names, model=extractor.source, normalize=normalize, chunk=chunk)
    record = parts / 'plan.json'
    if not record.exists():
        write_json(record, plan)
    elif load_json(record) != plan:
        raise UserError(
            f'{parts} holds parts of another run (other images, model or options): remove it or name another'
        )
    files: list[Path] = []
    with progress((), 0, len(rows), quiet) as bar:  # type: ignore[attr-defined]
        for first in range(0, len(rows), chunk):
            files.append(parts / f'{first:09}.npz')
            part = rows[first : first + chunk]
            if not files[-1].exists():
                _write_part(extractor, part, files[-1], normalize)
            bar.update(len(part))
    kind = f'a part of features, as this command writes (remove {parts} to begin again)'
    loaded = [read_arrays(file, ('vectors', 'rows'), kind) for file in files]
    width = max((found.shape[1] for found, _ in loaded), default=0)
    if not width:
        raise UserError(f'none of the {count_of(len(rows), "image")} could be read, so there are no features')
    vectors = np.full((len(rows), width), np.nan, np.float32)
    for number, (found, places) in enumerate(loaded):
        if len(places):
            vectors[number * chunk + places] = found
    broken = [name for name, vector in zip(names, vectors) if np.isnan(vector).all()]
    with atomic_path(path if path.endswith('.npy') else f'{path}.npy') as temporary:
        np.save(temporary, vectors)
    write_json(f'{os.path.splitext(path)[0]}.json', names)
    for file in (*files, record):
        file.unlink()
    parts.rmdir()
    print(f'{path}: {vectors.shape[0]} x {vectors.shape[1]} float32', file=sys.stderr)
    if broken:
        said = f'{count_of(len(broken), "image")} could not be read, with a row of NaN each: {name_some(broken)}'
        print(said, file=sys.stderr)


def _write_part(extractor: 'FeatureExtractor', rows: Sequence[dict[str, Any]], file: Path, normalize: bool) -> None:
    """The vectors of the images that can be read, and their rows."""
    found = list(extractor.extract([row['image'] for row in rows], normalize, return_errors=True))
    good = [number for number, vector in enumerate(found) if not isinstance(vector, Exception)]
    vectors = np.stack([found[number] for number in good]) if good else np.zeros((0, 0), np.float32)
    with atomic_write(file) as out:
        np.savez(out, vectors=vectors, rows=np.array(good, np.int64))


def _complete(row: dict[str, Any], defaults: dict[str, str | None], where: str) -> dict[str, Any]:
    for key, default in defaults.items():
        value = row.get(key) or default
        if not isinstance(value, str) or not value.strip():
            raise UserError(f'{where} has no {key!r}: give one on the command line or in a column of that name')
        row[key] = value
    return row


def _check_result(path: str, line: bytes, number: int, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    try:
        found = json.loads(line.decode())
    except (ValueError, RecursionError):
        found = None
    wanted = {name: rows[number]['name' if name == 'image' else name] for name in columns} if number < len(rows) else {}
    if not isinstance(found, dict) or not wanted or any(found.get(name) != value for name, value in wanted.items()):
        raise UserError(
            f'{path} holds other results: its line {number + 1} is not of {clip(wanted) if wanted else "any row"}; '
            'remove it or name another file'
        )
