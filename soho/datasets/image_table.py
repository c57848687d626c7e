"""The images of an annotation file in flat arrays, which forked workers share without copying them."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from msgspec import Struct

from soho.datasets.records import ListedImage
from soho.datasets.storage.index import Index, read_ids
from soho.datasets.storage.json_records import to_record
from soho.datasets.storage.names import check_name
from soho.datasets.storage.packed_strings import PackedStrings
from soho.errors import UserError, clip

RecordT = TypeVar('RecordT')


class ImageTable:
    """File name, id and size of each image of an annotation file, in flat arrays.

    Args:
        records: Typed records or dicts with ``file_name``, ``image_id`` and, all of them or none,
            ``width`` and ``height``; read one at a time and not kept.
        add_record: Called with every item whose image is large enough.
        min_side: Minimum side in pixels.

    Raises:
        UserError: A dict lacks a key or has another type of value, some items state a size and others do not, or a
            file name leaves the folder of the images.
    """

    def __init__(self, records: Iterator[RecordT], add_record: Callable[[RecordT], None], min_side: int) -> None:
        names, ids, sizes = [], [], []
        self.dropped = 0
        for number, record in enumerate(records):
            # A typed record has been checked where it was read.
            image: Any = record if isinstance(record, Struct) else to_record(record, ListedImage, f'Image {number}')
            check_name(image.file_name)
            if image.width is not None and image.height is not None:
                if min(image.width, image.height) < min_side:
                    self.dropped += 1
                    continue
                sizes.append((image.height, image.width))
            names.append(image.file_name)
            ids.append(image.image_id)
            if sizes and len(sizes) < len(names):
                raise UserError(f'some images state their size and others, as {clip(image.file_name)}, do not')
            add_record(record)
        self.file_names = PackedStrings(names)
        self.image_ids = PackedStrings(map(str, ids))
        self.id_is_text = np.array([isinstance(identity, str) for identity in ids], np.uint8)
        # (I, 2) of (h, w); None where the annotations do not state them: reading every header would be slow.
        self.sizes: np.ndarray | None = np.asarray(sizes, np.int32).reshape(-1, 2) if sizes or not names else None
        self.rows: np.ndarray = np.arange(len(names))

    @classmethod
    def of(cls, index: Index, min_side: int) -> 'ImageTable':
        """Table of the images of an index that are large enough; ``rows`` are their numbers in the index."""
        table = cls.__new__(cls)
        sizes = index['size'].reshape(-1, 2)
        table.rows = np.flatnonzero(sizes.min(1, initial=min_side) >= min_side)
        table.dropped = len(sizes) - len(table.rows)
        table.sizes = sizes[table.rows] if table.dropped else sizes
        table.file_names, table.image_ids = index.texts('file_name'), index.texts('image_id')
        if table.dropped:
            table.file_names, table.image_ids = table.file_names.take(table.rows), table.image_ids.take(table.rows)
        table.id_is_text = index['image_id.is_text'][table.rows]
        return table

    @cached_property
    def numbered(self) -> bool:
        """Whether all ids are numbers from 0 on, so that they stand for themselves in batches."""
        return not self.id_is_text.any() and not (self.image_ids.blob[self.image_ids.starts] == ord('-')).any()

    def number(self, image: int) -> int:
        """Number of an image in batches: its id, or where not all ids are numbers its place in this table."""
        return int(self.image_ids[image]) if self.numbered else image

    def original_ids(self) -> list[int | str] | None:
        """Return the id of each image by its :meth:`number`; None where the numbers are the ids."""
        return None if self.numbered else read_ids(self.image_ids, self.id_is_text)

    def __len__(self) -> int:
        return len(self.file_names)
