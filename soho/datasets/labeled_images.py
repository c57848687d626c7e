"""Images with labels, for the classification pretraining of a CNN."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from soho.datasets.base import ImageTextDataset
from soho.datasets.image_table import ImageTable
from soho.datasets.records import LabeledImage
from soho.datasets.storage.json_files import load_members
from soho.datasets.storage.json_records import stream_records, to_record
from soho.errors import UserError, clip, enumerate_names
from soho.registry import DATASETS


@DATASETS.register_module()
class LabeledImages(ImageTextDataset):
    """Images with one label for each of several attributes.

    The annotation file is ``{data: [{file_name, image_id, height, width,
    labels: [int, ...]}], labels: {attribute: [name, ...], ...}}``, -1 for an unknown
    attribute of an image (``tools/prepare/object_crops.py`` writes it).

    Args:
        attributes: Attributes that are used, in this order; by default all of the file.
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        UserError: The file lacks an attribute, or a label is outside the list of its
            attribute.
    """

    def __init__(self, *args, attributes: Sequence[str] | None = None, **kwargs) -> None:
        self.attributes = attributes
        super().__init__(*args, **kwargs)

    def load_annotations(self) -> None:
        names = to_record(
            load_members(self.ann_file, 'labels')['labels'], dict[str, list[str]], f"'labels' of {self.ann_file}"
        )
        attributes = list(names) if self.attributes is None else list(self.attributes)
        if missing := [attribute for attribute in attributes if attribute not in names]:
            raise UserError(
                f'{self.ann_file} has no labels of the attribute {missing[0]!r}; it has {enumerate_names(names)}'
            )
        columns = [list(names).index(attribute) for attribute in attributes]
        self.label_names = {attribute: names[attribute] for attribute in attributes}
        sizes = [len(names[attribute]) for attribute in attributes]
        labels: list[list[int]] = []

        def add_labels(record: LabeledImage) -> None:
            if len(record.labels) != len(names):
                raise UserError(
                    f'{self.ann_file}: image {clip(record.file_name)} has {len(record.labels)} labels, '
                    f'but there are {len(names)} attributes'
                )
            chosen = [record.labels[column] for column in columns]
            for attribute, label, size in zip(attributes, chosen, sizes):
                if not -1 <= label < size:
                    raise UserError(
                        f'{self.ann_file}: image {clip(record.file_name)} has the {clip(attribute)} {label}, but there '
                        f'are {size} (0 to {size - 1}, or -1 where it is not known)'
                    )
            labels.append(chosen)

        self.images = ImageTable(stream_records(self.ann_file, LabeledImage, 'data'), add_labels, self.min_side)
        self.labels = np.asarray(labels, np.int64).reshape(-1, len(attributes))
        self.item_images = np.arange(len(self.images))[:, None]

    @property
    def metainfo(self) -> dict[str, Any]:
        return dict(label_names=self.label_names)

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``attribute_labels`` (G,) int64, one for each attribute."""
        return dict(attribute_labels=self.labels[index])
