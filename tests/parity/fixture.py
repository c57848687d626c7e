"""A file of recorded values, and the account of what was compared with it."""

import json
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from soho.errors import UserError

Value = Tensor | np.ndarray | float | int | str | list


class Row(NamedTuple):
    """One recorded value beside ours."""

    name: str
    absolute: float
    """Largest |ours - recorded|; infinite where shapes, texts or NaNs differ."""
    relative: float
    """``absolute`` over the largest |recorded| of the array; for ``each``, the largest ratio of any entry."""
    limit: float
    """What ``absolute`` may be; for ``each``, what ``relative`` may be."""
    note: str = ''
    each: bool = False

    @property
    def passed(self) -> bool:
        return (self.relative if self.each else self.absolute) <= self.limit


class Fixture:
    """The recorded values of one file by name, and one :class:`Row` for each that was compared.

    Every value has to be read as an input, compared, or noted as a remark;
    what is left at the end was not checked, which is a failure.

    Args:
        path: An npz archive, or a json text whose nesting becomes names such as
            ``pretrain/samples/adamw``. A list of dicts with the same keys
            becomes one list for each key.
        vocab: A BERT vocabulary for fixtures of tokenisation.
        annotations: Folders of the official files that predictions are of, for fixtures that do not hold them.

    Raises:
        ValueError: Neither of the two formats.
    """

    def __init__(self, path: str, vocab: str | None = None, annotations: Sequence[str] = ()) -> None:
        self.path = path
        self.title = ''
        self.vocab = vocab
        self.annotations = annotations
        self.values = _read(path)
        self.rows: list[Row] = []
        self.remarks: list[str] = []
        self._open = dict.fromkeys(self.values)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __getitem__(self, name: str) -> Any:
        """The value ``name`` as an input."""
        self._open.pop(name, None)
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self.values else default

    def tensor(self, name: str) -> Tensor:
        return torch.from_numpy(np.asarray(self[name]))

    def names(self, prefix: str = '') -> list[str]:
        return [name for name in self.values if name.startswith(prefix)]

    def shape(self, name: str) -> tuple:
        """The shape of a recorded value, without taking it as an input."""
        return np.shape(self.values[name])

    def sibling(self, *parts: str) -> 'Fixture':
        """The fixture of the same folder that has a value whose name contains each of ``parts``, for its inputs.

        Raises:
            FileNotFoundError: There is none.
        """
        folder = os.path.dirname(os.path.abspath(self.path))
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name.endswith(('.npz', '.json')) and not os.path.samefile(path, self.path):
                other = Fixture(path, self.vocab, self.annotations)
                if all(any(part in value for value in other.values) for part in parts):
                    return other
        raise FileNotFoundError(f'{self.path} belongs to a file that has {" and ".join(parts)}; {folder} has none')

    def remark(self, *names: str) -> None:
        """These tell how the file was made; nothing of ours corresponds to them."""
        for name in names:
            if name in self._open:
                self.remarks.append(name)
                del self._open[name]

    def check(
        self,
        name: str,
        ours: Value,
        atol: float = 0.0,
        rtol: float = 0.0,
        note: str = '',
        recorded: Value | None = None,
    ) -> None:
        """Compare ours with the recorded value ``name``.

        Args:
            name: Skipped where the file has no such value.
            ours: Of the recorded shape.
            atol: Allowed absolute difference; 0 for integers and texts.
            rtol: Allowed difference as a share of the largest recorded value.
                The larger of the two limits holds.
            note: Shown beside the row.
            recorded: What follows from several values of the file, under a
                name of its own.
        """
        if recorded is None:
            if name not in self.values:
                return
            self._open.pop(name, None)
            recorded = self.values[name]
        absolute, scale, difference = _difference(recorded, ours)
        relative = absolute / scale if scale else absolute
        self.rows.append(Row(name, absolute, relative, max(atol, rtol * scale), difference or note))

    def check_each(self, name: str, ours: Value, rtol: float, scale: np.ndarray | None = None, note: str = '') -> None:
        """Compare values of different magnitudes: every entry to ``rtol`` of its own scale.

        Args:
            name: Skipped where the file has no such value.
            ours: Of the recorded shape.
            rtol: Allowed share.
            scale: Broadcasts to the value; the recorded magnitudes by default.
            note: Shown beside the row.
        """
        if name not in self.values:
            return
        self._open.pop(name, None)
        absolute, _, difference = _difference(self.values[name], ours)
        relative = absolute
        if np.isfinite(absolute):
            recorded, values = _numbers(self.values[name]), _numbers(_array(ours))
            scale = np.broadcast_to(np.abs(recorded) if scale is None else scale, recorded.shape)
            off = ~np.isnan(recorded) & (recorded != values)
            with np.errstate(divide='ignore'):
                relative = float(np.max(np.abs(values - recorded)[off] / scale[off], initial=0.0))
        self.rows.append(Row(name, absolute, relative, rtol, difference or note, each=True))

    def check_all(self, ours: Mapping[str, Value], atol: float = 0.0, rtol: float = 0.0, prefix: str = '') -> None:
        for name, value in ours.items():
            self.check(prefix + name, value, atol, rtol)

    def fail(self, names: Iterable[str], why: str) -> None:
        """Values that could not be compared."""
        for name in names:
            self._open.pop(name, None)
            self.rows.append(Row(name, np.inf, np.inf, 0.0, why))

    def close(self) -> list[Row]:
        """All rows; a value that nobody looked at fails."""
        self.fail(list(self._open), 'not checked')
        return self.rows


def folders_above(*starts: str) -> Iterable[str]:
    """Each folder and those above it, from the inside out."""
    for start in starts:
        folder = os.path.abspath(start)
        while True:
            yield folder
            if folder == os.path.dirname(folder):
                break
            folder = os.path.dirname(folder)


def find_near(path: str, name: str) -> str | None:
    """The file ``name`` in a folder above ``path`` or above the working folder, or in ``data`` there."""
    for folder in folders_above(os.path.dirname(os.path.abspath(path)), os.getcwd()):
        for place in (os.path.join(folder, name), os.path.join(folder, 'data', name)):
            if os.path.isfile(place):
                return place
    return None


def _difference(recorded: Any, ours: Any) -> tuple:
    """Largest absolute difference, largest recorded magnitude, and what else is wrong."""
    ours = _array(ours)
    a, b = _numbers(recorded), _numbers(ours)
    if a is None or b is None:
        same = np.asarray(recorded, object).tolist() == np.asarray(ours, object).tolist()
        return (0.0, 0.0, '') if same else (np.inf, 0.0, 'differs')
    if a.shape != b.shape:
        return np.inf, 0.0, f'shape {b.shape}, recorded {a.shape}'
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return np.inf, 0.0, 'not a number in other places'
    known = ~np.isnan(a)
    a, b = a[known], b[known]
    return (float(np.abs(a - b).max()), float(np.abs(a).max()), '') if a.size else (0.0, 0.0, '')


def _array(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _numbers(value: Any) -> np.ndarray | None:
    try:
        array = np.asarray(value)
    except ValueError:  # ragged
        return None
    return array.astype(np.float64) if array.dtype.kind in 'biuf' else None


def _read(path: str) -> dict[str, Any]:
    if not os.path.isfile(path):
        raise FileNotFoundError(f'there is no file {path}')
    try:
        if zipfile.is_zipfile(path):
            with np.load(path, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
        with open(path, encoding='utf-8') as file:
            return dict(_flatten(json.load(file)))
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f'{path} is no readable npz or json file: {error}') from error


def _flatten(value: Any, name: str = '') -> Iterable[tuple]:
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        same_keys = all(item.keys() == value[0].keys() for item in value)
        if name and same_keys:
            value = {key: [item[key] for item in value] for key in value[0]}
        else:
            value = {str(i): item for i, item in enumerate(value)}
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flatten(item, f'{name}/{key}' if name else str(key))
    else:
        yield name, value
