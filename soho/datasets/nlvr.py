"""NLVR: a statement about a drawn image of three boxes, in the official format (Suhr et al., ACL 2017)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soho.datasets.image_table import ImageTable
from soho.datasets.records import ListedImage, NLVRStatement
from soho.datasets.statements import StatementDataset, check_unique, parse_label
from soho.datasets.storage.json_records import stream_lines
from soho.datasets.storage.packed_strings import PackedStrings
from soho.errors import UserError, clip
from soho.registry import DATASETS

ORDERS = 6
"""Images of an example: its three boxes in each order."""


@DATASETS.register_module()
class NLVRDataset(StatementDataset):
    """A statement with each of the six images of its example, which show the three boxes in all orders.

    The annotation file has an object a line: ``identifier`` (``n-m``), ``sentence``, ``label`` ("true" or "false"),
    and the six file names in ``images``, or ``directory``, the folder of the official images
    ``<split>-n-m-k.png``; the split is then the file's name, such as ``dev.json``. All six images are samples, in
    training and in evaluation.

    Args:
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        UserError: An identifier does not parse or is repeated, a label is neither true nor false, a sentence is
            empty, or an example has other than six images.
    """

    def load_annotations(self) -> None:
        sentences, labels, names, groups, identifiers = [], [], [], [], []
        for record in stream_lines(self.ann_file, NLVRStatement):
            identifier = record.identifier
            parts = identifier.split('-')
            if len(parts) != 2 or not all(part.isascii() and part.isdecimal() for part in parts):
                raise UserError(
                    f'{self.ann_file}: the example {clip(identifier)} has an identifier that is not N-M, such as 1572-0'
                )
            identifiers.append(identifier)
            names += self._image_names(record)
            groups += [parts[0]] * ORDERS
            sentences.append(record.sentence)
            labels.append(parse_label(record.label))
        check_unique(identifiers, self.ann_file)
        self.sentences = PackedStrings(sentences)
        self.labels = np.repeat(np.array(labels, np.int64), ORDERS)
        # Submissions name an image by its file.
        self.identifiers = PackedStrings(name.rpartition('/')[2] for name in names)
        self.groups = PackedStrings(groups)
        records = (ListedImage(name, name) for name in names)
        self.images = ImageTable(records, lambda record: None, self.min_side)
        self.item_images = np.arange(len(names))[:, None]

    def _image_names(self, record: NLVRStatement) -> Sequence[str]:
        if record.images is not None:
            return record.images
        folder = '' if record.directory is None else f'{record.directory}/'
        return [f'{folder}{Path(self.ann_file).stem}-{record.identifier}-{k}.png' for k in range(ORDERS)]

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """See :meth:`StatementDataset.describe`."""
        return self.describe([index], [self.sentences[index // ORDERS]], 1)
