"""Images in one folder per class, the layout of ImageNet."""

from typing import Any

import numpy as np
from mmengine.logging import print_log

from soho.datasets.base import ImageTextDataset
from soho.datasets.image_table import ImageTable
from soho.datasets.records import ListedImage
from soho.datasets.storage.names import is_image
from soho.errors import UserError, clip
from soho.registry import DATASETS


@DATASETS.register_module()
class ImageFolders(ImageTextDataset):
    """Images whose class is the name of their folder, as in ``train/n01440764/n01440764_10026.JPEG``.

    Classes are numbered in alphabetical order, as in torchvision; an empty
    folder is a class without images. Images are not opened at construction:
    for 1.28 million it only lists folders or reads the directory of a zip.

    Args:
        images: Parent of the class folders, or a zip of it.
        **kwargs: See :class:`ImageTextDataset`; there is no annotation file.

    Raises:
        UserError: No folder contains an image.
    """

    def __init__(self, images: str, *args, **kwargs) -> None:
        super().__init__(images, images, *args, **kwargs)

    def load_annotations(self) -> None:
        assert self.store is not None  # `images` is required here
        found = self.store.folders()
        if found.nested:
            print_log(
                f'{self.store.path}: left out {len(found.nested)} folders within the classes, the first '
                f'{clip(found.nested[0])}',
                'current',
            )
        folders = {
            folder: files
            for folder, names in found.files.items()
            if (files := [name for name in names if is_image(name)]) or not names
        }
        loose = folders.pop('', [])
        if not any(folders.values()):
            what = f'{len(loose)} images that lie in no folder' if loose else 'no images in folders'
            raise UserError(
                f'{self.store.path} has {what}: the images of a class belong in a folder of their own, '
                f'as in n01440764/n01440764_10026.JPEG (the download of ILSVRC2012 has one archive a '
                'class for training; those of validation have to be sorted by the ground truth of the '
                'devkit, as torchvision.datasets.ImageNet does)'
            )
        self.classes = list(folders)
        names = (f'{folder}/{name}' for folder, files in folders.items() for name in files)
        records = (ListedImage(name, i) for i, name in enumerate(names))
        self.images = ImageTable(records, lambda record: None, self.min_side)
        self.item_images = np.arange(len(self.images))[:, None]
        self.labels = np.repeat(np.arange(len(folders)), [len(files) for files in folders.values()])[:, None]

    @property
    def metainfo(self) -> dict[str, Any]:
        return dict(label_names=dict(category=self.classes))

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``attribute_labels`` (1,) int64."""
        return dict(attribute_labels=self.labels[index])
