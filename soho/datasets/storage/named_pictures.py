"""The pictures that a person's table names: which files they are, and whether a model can read them."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from soho.datasets.storage.decoding import decode_reduced
from soho.datasets.storage.image_sizes import Size
from soho.datasets.storage.image_store import ImageError, ImageStore
from soho.datasets.storage.names import is_image


class Picture(NamedTuple):
    """A readable picture."""

    size: Size
    digest: str
    """SHA-256 of its bytes."""


def find_pictures(store: ImageStore, names: Iterable[str], min_side: int) -> tuple[dict[str, Picture], dict[str, str]]:
    """Return the readable pictures by the name in the table, and what is wrong with each of the others.

    Every picture is decoded, so that one whose end is missing is found here and not in the middle of a training.

    Args:
        store: The pictures.
        names: As the table has them, with or without folder and ending.
        min_side: Pixels of the shorter side, below which data sets leave a picture out.
    """
    listing = store.names
    exact = set(listing)
    short: dict[str, list[str]] = defaultdict(list)
    for name in listing:
        if is_image(name):
            stem = os.path.splitext(name)[0]
            for key in {stem, os.path.basename(stem), os.path.basename(name)}:
                short[key].append(name)
    pictures, problems = {}, {}
    for name in names:
        plain = os.path.normpath(name.replace('\\', '/')).replace(os.sep, '/')
        choices = [plain] if plain in exact else short.get(plain) or short.get(os.path.basename(plain), [])
        if len(choices) != 1:
            problems[name] = 'there is no such picture' if not choices else f'it may be {" or ".join(choices[:3])}'
            continue
        try:
            data = store.read(choices[0])
            _, (height, width) = decode_reduced(data, (1, 1), name=choices[0])
        except ImageError as error:
            problems[name] = str(error)
            continue
        if min(height, width) < min_side:
            problems[name] = f'it has {width} x {height} pixels, and each side needs {min_side}'
            continue
        pictures[name] = Picture(Size(choices[0], height, width), hashlib.sha256(data).hexdigest())
    return pictures, problems
