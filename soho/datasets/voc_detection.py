"""Objects of PASCAL VOC, from the devkit's Annotations."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from soho.datasets.coco_detection import DetectionDataset
from soho.datasets.records import VOCBox, VOCSize
from soho.datasets.storage.json_records import to_record
from soho.datasets.storage.names import check_name
from soho.datasets.voc07 import class_names
from soho.errors import UserError, clip, quote
from soho.files import read_bytes, read_text
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
        UserError: The file is not a list of distinct names.
    """
    names = read_text(image_set).split()
    for name in names:
        check_name(name)
    if len(names) != len(set(names)):
        raise UserError(
            f'{image_set} names images twice, or is not a list of one name per line '
            '(it should be SPLIT.txt, not CLASS_SPLIT.txt)'
        )
    return names


def read_voc_image(path: str | os.PathLike, skip_object: Callable[[UserError], None] | None = None) -> VOCImage:
    """Read ``Annotations/NAME.xml``.

    The encoding is the one that the file states, UTF-8 by default.

    Args:
        path: The file.
        skip_object: Called for an object with a broken box instead of raising the error; the object is left out.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file is not XML, lacks an element, or a size or a box is no number or out of range.
    """
    try:
        tree = ElementTree.fromstring(read_bytes(path))
    except ElementTree.ParseError as error:
        raise UserError(f'{path} is broken XML: {error}') from error
    except UserError:
        raise
    except (ValueError, LookupError) as error:  # of an encoding that the parser does not know
        raise UserError(f'{path} states an encoding that cannot be read: {clip(error)}') from error

    def text(element: Any, name: str) -> str:
        value = element.findtext(name)
        if value is None:
            raise UserError(f'{path} has an element <{clip(getattr(element, "tag", "annotation"))}> without {name}')
        return value.strip()

    size = to_record({side: text(tree, f'size/{side}') for side in VOCSize.__struct_fields__}, VOCSize, f'{path}')
    objects = []
    for item in tree.iterfind('object'):
        name, difficult = text(item, 'name'), item.findtext('difficult', '0').strip() == '1'
        try:
            sides = {side: text(item, f'bndbox/{side}') for side in VOCBox.__struct_fields__}
            box = to_record(sides, VOCBox, f'{path}: the box of a {clip(name)}')
        except UserError as error:
            if skip_object is None:
                raise
            skip_object(error)
            continue
        objects.append(VOCObject(name, (box.xmin - 1, box.ymin - 1, box.xmax, box.ymax), difficult))
    return VOCImage(size.height, size.width, objects)


def devkit_folder(image_set: str | os.PathLike) -> Path:
    """Folder such as ``VOC2007`` that the file of a split, ``VOC2007/ImageSets/Main/SPLIT.txt``, belongs to.

    Raises:
        UserError: The file does not lie two folders deep.
    """
    path = Path(image_set)
    if len(path.parents) < 3:
        path = Path(os.path.abspath(path))
    if len(path.parents) < 3:
        raise UserError(f'{image_set} is not the file of a split, as VOC2007/ImageSets/Main/trainval.txt is')
    return path.parents[2]


def annotation_file(image_set: str | os.PathLike, name: str) -> Path:
    """Path of an image's annotation, from the file of its split."""
    return devkit_folder(image_set) / 'Annotations' / f'{name}.xml'


def image_number(name: str) -> int:
    """Integer id of an image name: ``000005`` is 5 and ``2008_000001`` is 2008000001."""
    return int(name.replace('_', ''))


def image_ids(names: Sequence[str]) -> list[int | str]:
    """Id of each image name: its number, or where the names are not all distinct numbers, the names."""
    if all(name.replace('_', '').isdecimal() and len(name) < 19 for name in names):
        numbers = [image_number(name) for name in names]
        if len(set(numbers)) == len(numbers):
            return list(numbers)
    return list(names)


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
        UserError: The class of an object is not among ``names``.
    """

    def __init__(self, *args, names: Sequence[str] | None = None, difficult: bool = True, **kwargs) -> None:
        self.names = names
        self.difficult = difficult
        super().__init__(*args, outlines=False, **kwargs)

    def records(self) -> Iterator[dict[str, Any]]:
        image_set = Path(self.ann_file)
        self.class_names = list(self.names or class_names(devkit_folder(image_set), image_set.stem))
        labels = {name: i for i, name in enumerate(self.class_names, start=1)}
        names = read_names(image_set)
        # Samples of the test mode have no objects; the metric reads them, and refuses broken ones.
        skip_object = (lambda error: None) if self.test_mode else self.skip_object
        for name, image_id in zip(names, image_ids(names)):
            path = annotation_file(image_set, name)
            image = read_voc_image(path, skip_object)
            objects = [item for item in image.objects if self.difficult or not item.difficult]
            if unknown := {item.name for item in objects} - labels.keys():
                raise UserError(
                    f'{path} has an object of the class {quote(min(unknown))}, which is not one of '
                    f'{", ".join(map(clip, labels))}'
                )
            yield dict(
                file_name=f'{name}.jpg',
                image_id=image_id,
                height=image.height,
                width=image.width,
                objects=[(item.box, labels[item.name], []) for item in objects],
            )
