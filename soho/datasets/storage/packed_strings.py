"""Millions of strings in a few flat arrays.

Strings are kept as UTF-8. A file name that is not UTF-8, which Python reads with surrogates for the other bytes
(``surrogateescape``), is kept as it is on the disk.
"""

from collections.abc import Iterable

import numpy as np

CODEC = ('utf-8', 'surrogateescape')


class PackedStrings:
    """Read-only list of strings that worker processes share without copying.

    A Python list of strings is copied page by page into every forked worker,
    because reading an object writes its reference count. Arrays are not.

    Args:
        strings: The strings.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        blob = bytearray()
        ends = [0]
        for string in strings:
            blob += string.encode(*CODEC)
            ends.append(len(blob))
        self._hold(np.frombuffer(bytes(blob), np.uint8), np.asarray(ends, np.int64))

    @classmethod
    def of(cls, blob: np.ndarray, ends: np.ndarray) -> 'PackedStrings':
        """Return the strings whose concatenated UTF-8 bytes are ``blob``, without copying.

        Args:
            blob: Bytes, uint8.
            ends: (N + 1,) int64, 0 and the end of each string.
        """
        strings = cls.__new__(cls)
        strings._hold(blob, ends)
        return strings

    def _hold(self, blob: np.ndarray, ends: np.ndarray) -> None:
        self.blob, self.starts, self.stops = blob, ends[:-1], ends[1:]

    def take(self, indices: np.ndarray) -> 'PackedStrings':
        """Return the strings at ``indices``; their bytes are not copied."""
        taken = type(self).__new__(type(self))
        taken.blob, taken.starts, taken.stops = self.blob, self.starts[indices], self.stops[indices]
        return taken

    def padded(self) -> np.ndarray:
        """Return all strings as (N,) fixed-length bytes, which sort as the strings do."""
        lengths = self.stops - self.starts
        padded = np.zeros((len(self), max(1, lengths.max(initial=0))), np.uint8)
        for place in range(padded.shape[1]):
            reaching = np.flatnonzero(lengths > place)
            padded[reaching, place] = self.blob[self.starts[reaching] + place]
        return padded.view(f'S{padded.shape[1]}')[:, 0]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> str:
        return self.blob[self.starts[index] : self.stops[index]].tobytes().decode(*CODEC)
