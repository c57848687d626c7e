"""Objects of PASCAL VOC, from the devkit's Annotations."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from soho.datasets.coco_detection import DetectionDataset
from soho.datasets.storage.json_files import open_text
from soho.datasets.voc07 import class_names
from soho.errors import UserError
from soho.registry import DATASETS


class VOCObject(NamedTuple):
    """One object of an image."""

    name: str
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 from 0; the file counts pixels from 1 and includes the last one."""
    difficult: bool


class VOCImage(NamedTuple):
    """Contents of an annotation file."""

    height: int
    width: int
    objects: list[VOCObject]


def read_names(image_set: str | os.PathLike) -> list[str]:
    """Names of the images of a split, from ``ImageSets/Main/SPLIT.txt``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a list of distinct names.
    """
    with open_text(image_set) as file:
        names = file.read().split()
    if len(names) != len(set(names)):
        raise UserError(
            f'{image_set} names images twice, or is not a list of one name per line '
            '(it should be SPLIT.txt, not CLASS_SPLIT.txt)'
        )
    return names


def read_voc_image(path: str | os.PathLike) -> VOCImage:
    """Read ``Annotations/NAME.xml``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not XML, or lacks an element.
    """
    with open_text(path) as file:
        try:
            tree = ElementTree.parse(file)
        except ElementTree.ParseError as error:
            raise UserError(f'{path} is broken XML: {error}') from error

    def text(element: Any, name: str) -> str:
        value = element.findtext(name)
        if value is None:
            raise UserError(f'{path} has an element <{getattr(element, "tag", "annotation")}> without {name}')
        return value

    try:
        height, width = (int(text(tree, f'size/{side}')) for side in ('height', 'width'))
        objects = []
        for item in tree.iterfind('object'):
            xmin, ymin, xmax, ymax = (float(text(item, f'bndbox/{name}')) for name in ('xmin', 'ymin', 'xmax', 'ymax'))
            objects.append(
                VOCObject(
                    text(item, 'name'), (xmin - 1, ymin - 1, xmax, ymax), item.findtext('difficult', '0').strip() == '1'
                )
            )
    except ValueError as error:
        raise (
            error if str(path) in str(error) else ValueError(f'{path} has a size that is no number: {error}')
        ) from error
    return VOCImage(height, width, objects)


def annotation_file(image_set: str | os.PathLike, name: str) -> Path:
    """Path of an image's annotation, from the file of its split."""
    return Path(image_set).parents[2] / 'Annotations' / f'{name}.xml'


def image_number(name: str) -> int:
    """Integer id of an image name: ``000005`` is 5 and ``2008_000001`` is 2008000001."""
    return int(name.replace('_', ''))


@DATASETS.register_module()
class VOCDetection(DetectionDataset):
    """A split of PASCAL VOC.

    ``ann_file`` is for instance ``VOC2007/ImageSets/Main/trainval.txt``, ``images`` ``VOC2007/JPEGImages``.

    Args:
        names: Classes in the order of their labels; by default those of the
            files ``CLASS_SPLIT.txt`` in alphabetical order, as published.
        difficult: Whether training includes objects marked difficult, as in detectron2.
        **kwargs: See :class:`DetectionDataset`.

    Raises:
        ValueError: The class of an object is not among ``names``.
    """

    def __init__(self, *args, names: Sequence[str] | None = None, difficult: bool = True, **kwargs) -> None:
        self.names = names
        self.difficult = difficult
        super().__init__(*args, outlines=False, **kwargs)

    def records(self) -> Iterator[dict[str, Any]]:
        image_set = Path(self.ann_file)
        self.class_names = list(self.names or class_names(image_set.parents[2], image_set.stem))
        labels = {name: i for i, name in enumerate(self.class_names, start=1)}
        for name in read_names(image_set):
            path = annotation_file(image_set, name)
            image = read_voc_image(path)
            objects = [item for item in image.objects if self.difficult or not item.difficult]
            if unknown := {item.name for item in objects} - labels.keys():
                raise UserError(
                    f'{path} has an object of the class {min(unknown)!r}, which is not one of {", ".join(labels)}'
                )
            yield dict(
                file_name=f'{name}.jpg',
                image_id=image_number(name),
                height=image.height,
                width=image.width,
                objects=[(item.box, labels[item.name], []) for item in objects],
            )
