"""What a preparation tool made, from what, and whether it has to be made again."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from soho.datasets.storage.json_files import Written, load_json, write_json
from soho.files import PathLike
from soho.version import __version__


def _fingerprints(inputs: Iterable[PathLike]) -> dict[str, Any]:
    """Size in bytes and time of change of each input; the raw downloads are too large to hash."""
    return {path: file_fingerprint(path) for path in sorted(map(os.fspath, inputs))}


def file_fingerprint(path: PathLike) -> dict[str, int]:
    """Size in bytes and time of change of a file.

    Raises:
        FileNotFoundError: One sentence with the path.
    """
    try:
        stat = os.stat(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'There is no file {path}.') from error
    return dict(bytes=stat.st_size, mtime_ns=stat.st_mtime_ns)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def hash_output(path: Path) -> Written:
    """What :meth:`Manifest.write` wants to know of an output that is no json."""
    return Written(_sha256(path), path.stat().st_size)


def find_input(root: PathLike, *names: str) -> Path | None:
    """The first of ``names`` that is in ``root`` or its folder ``annotations``."""
    places = (Path(root, folder, name) for name in names for folder in ('', 'annotations'))
    return next((place for place in places if place.is_file()), None)


class Manifest:
    """The record ``prepare_<tool>.json`` beside a tool's outputs.

    It holds the tool's arguments, size and time of each input, SHA-256 and size
    of each output, and the counts that the tool printed.

    Args:
        folder: Where the outputs are.
        tool: The tool's short name.
        arguments: What the outputs depend on besides the inputs; JSON values.
        inputs: The files (or image folders) that are read.

    Raises:
        FileNotFoundError: An input is not there.
    """

    def __init__(self, folder: PathLike, tool: str, arguments: dict[str, Any], inputs: Iterable[PathLike]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / f'prepare_{tool}.json'
        self.origin = dict(version=__version__, arguments=arguments, inputs=_fingerprints(inputs))

    def counts_if_current(self) -> dict[str, Any] | None:
        """The recorded counts, if the outputs stand as these arguments and inputs made them."""
        try:
            record = load_json(self.path, required=('version', 'arguments', 'inputs', 'outputs', 'counts'))
        except (FileNotFoundError, ValueError):
            return None
        if any(record[key] != value for key, value in self.origin.items()):
            return None
        for name, output in record['outputs'].items():
            path = self.folder / name
            if not path.is_file() or _sha256(path) != output['sha256']:
                return None
        return record['counts']

    def write(self, outputs: dict[str, Written], counts: dict[str, Any]) -> None:
        """Record what was made; call it last."""
        files = {name: written._asdict() for name, written in outputs.items()}
        write_json(self.path, dict(**self.origin, outputs=files, counts=counts), indent=2)
