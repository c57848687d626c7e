"""Manifest of a preparation tool: inputs, arguments and outputs, to skip work that is already done."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct

from soho.datasets.storage.checksums import stamp_archive, stamp_file
from soho.datasets.storage.json_files import Written, load_json, write_json
from soho.datasets.storage.json_records import to_record
from soho.files import PathLike, hash_file
from soho.version import __version__


def _stamps(inputs: Iterable[PathLike]) -> dict[str, Any]:
    """Return the stamp of each input by its path; of files their contents decide, archives are too large for that."""
    return {path: _stamp(path) for path in sorted(str(os.fspath(path)) for path in inputs)}


def _stamp(path: str) -> dict[str, int]:
    return stamp_archive(path) if os.path.isdir(path) or path.lower().endswith('.zip') else stamp_file(path)


def hash_output(path: Path) -> Written:
    """Return the SHA-256 and size of an output, for :meth:`Manifest.write`."""
    return Written(hash_file(path), path.stat().st_size)


def find_input(root: PathLike, *names: str) -> Path | None:
    """Return the path of the first of ``names`` that is in ``root`` or its folder ``annotations``, or None."""
    places = (Path(root, folder, name) for name in names for folder in ('', 'annotations'))
    return next((place for place in places if place.is_file()), None)


class _Output(Struct):
    sha256: str


class _Record(Struct):
    """Contents of a manifest."""

    version: str
    arguments: dict[str, Any]
    inputs: dict[str, Any]
    outputs: dict[str, _Output]
    counts: dict[str, Any]


class Manifest:
    """Record ``prepare_<tool>.json`` beside a tool's outputs.

    It holds the tool's arguments, size and checksum of each input, SHA-256 and size
    of each output, and the counts that the tool printed.

    Args:
        folder: Folder of the outputs.
        tool: Short name of the tool.
        arguments: Arguments that the outputs depend on; JSON values.
        inputs: Files, or image folders, that are read.

    Raises:
        FileNotFoundError: An input is missing.
    """

    def __init__(self, folder: PathLike, tool: str, arguments: dict[str, Any], inputs: Iterable[PathLike]) -> None:
        self.folder = Path(folder)
        self.path = self.folder / f'prepare_{tool}.json'
        self.origin = dict(version=__version__, arguments=arguments, inputs=_stamps(inputs))

    def counts_if_current(self) -> dict[str, Any] | None:
        """Return the recorded counts, and say so, if the outputs are unchanged and fit these arguments and inputs."""
        try:
            record = to_record(load_json(self.path), _Record, str(self.path))
        except (FileNotFoundError, ValueError):
            return None
        if any(getattr(record, key) != value for key, value in self.origin.items()):
            return None
        for name, output in record.outputs.items():
            path = self.folder / name
            if not path.is_file() or hash_file(path) != output.sha256:
                return None
        print(f'{self.path} is up to date, nothing to do.')
        return record.counts

    def write(self, outputs: dict[str, Written], counts: dict[str, Any]) -> None:
        """Write the record; call it last."""
        files = {name: written._asdict() for name, written in outputs.items()}
        write_json(self.path, dict(**self.origin, outputs=files, counts=counts), indent=2)
