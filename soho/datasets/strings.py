"""Millions of strings in two flat arrays."""
from collections.abc import Iterable

import numpy as np


class PackedStrings:
    """A read-only list of strings that worker processes share without copying.

    A Python list of strings is copied page by page into every forked worker,
    because reading an object writes its reference count. Two arrays are not.

    Args:
        strings: What to hold.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        blob = bytearray()
        ends = [0]
        for string in strings:
            blob += string.encode()
            ends.append(len(blob))
        self.blob = np.frombuffer(bytes(blob), np.uint8)
        self.ends = np.asarray(ends, np.int64)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> str:
        return self.blob[self.ends[index]:self.ends[index + 1]].tobytes().decode()
