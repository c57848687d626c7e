"""Export to a PASCAL VOC devkit (host.robots.ox.ac.uk/pascal/VOC): VOC2007 and, for 07+12, VOC2012.

A third of train2014 becomes VOC2007's trainval and the rest VOC2012's, each half
train and half val; val2014 becomes VOC2007's test. Objects are *difficult* where
they are small and partly covered.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from soho.datasets.records import Category
from soho.datasets.storage.image_sizes import Size, coco_sizes
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import stream_array
from soho.datasets.storage.json_records import stream_records
from soho.files import atomic_folder

# A covered object whose longer side is below this share of the picture's shorter one is difficult.
DIFFICULT_BELOW = 0.25
ABSENT, DIFFICULT, PRESENT = -1, 0, 1


class VOCObject(NamedTuple):
    """Object of a picture."""

    name: str
    box: tuple[int, int, int, int]
    """xmin, ymin, xmax, ymax: the outermost pixels, counted from 1."""
    occluded: bool
    difficult: bool


class Picture(NamedTuple):
    """Picture with the year and split it is written to."""

    year: str
    split: str
    name: str
    size: Size
    objects: list[VOCObject]
    store: ImageStore


def export_voc(root: Path) -> dict[str, int]:
    """Write ``VOCdevkit`` into the data set at ``root``; see ``formats.py``."""
    devkit = root / 'VOCdevkit'
    if not devkit.exists():
        with atomic_folder(devkit) as folder:
            _write(root, folder)
    return {
        f'{sets.parents[1].name} {split}': len((sets / f'{split}.txt').read_text().splitlines())
        for sets in sorted(devkit.glob('VOC*/ImageSets/Main'))
        for split in ('trainval', 'test')
        if (sets / f'{split}.txt').exists()
    }


def _write(root: Path, devkit: Path) -> None:
    classes = sorted(
        item.name for item in stream_records(root / 'annotations/instances_val2014.json', Category, 'categories')
    )
    listed = defaultdict(list)
    for picture in _pictures(root):
        folder = devkit / f'VOC{picture.year}'
        for part in ('JPEGImages', 'Annotations', 'ImageSets/Main'):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / 'JPEGImages' / f'{picture.name}.jpg').write_bytes(picture.store.read(picture.size.file_name))
        (folder / 'Annotations' / f'{picture.name}.xml').write_text(_xml(picture))
        labels = {name: _label(picture.objects, name) for name in classes}
        for split in {picture.split, 'test' if picture.split == 'test' else 'trainval'}:
            listed[folder, split].append((picture.name, labels))
    for (folder, split), pictures in listed.items():
        sets = folder / 'ImageSets/Main'
        (sets / f'{split}.txt').write_text(''.join(f'{name}\n' for name, _ in pictures))
        for kind in classes:
            lines = (f'{name} {labels[kind]:2d}\n' for name, labels in pictures)
            (sets / f'{kind}_{split}.txt').write_text(''.join(lines))


def _pictures(root: Path) -> Iterator[Picture]:
    """Yield all pictures in the order of their files."""
    number = 0
    for coco_split in ('train2014', 'val2014'):
        file = root / f'annotations/instances_{coco_split}.json'
        store, sizes = ImageStore(root / coco_split), coco_sizes([file])
        objects = _objects(file, sizes)
        for index, (image, size) in enumerate(sizes.items()):
            year, split = '2007', 'test'
            if coco_split == 'train2014':
                year, split = '2012' if index % 3 else '2007', ('train', 'val')[index // 3 % 2]
            number += 1
            name = f'{number:06d}' if year == '2007' else f'2012_{number:06d}'
            yield Picture(year, split, name, size, objects[image], store)


def _objects(file: Path, sizes: dict[int | str, Size]) -> dict[int | str, list[VOCObject]]:
    names = {item.id: item.name for item in stream_records(file, Category, 'categories')}
    objects = defaultdict(list)
    for item in stream_array(file, 'annotations'):
        size = sizes[item['image_id']]
        left, top, width, height = item['bbox']
        xmin, xmax = (min(max(round(x), 1), size.width) for x in (left + 1, left + width))
        ymin, ymax = (min(max(round(y), 1), size.height) for y in (top + 1, top + height))
        occluded = isinstance(item['segmentation'], dict)  # only these are written as run lengths
        difficult = occluded and max(width, height) < DIFFICULT_BELOW * min(size.height, size.width)
        objects[item['image_id']].append(
            VOCObject(names[item['category_id']], (xmin, ymin, xmax, ymax), occluded, difficult)
        )
    return objects


def _label(objects: list[VOCObject], name: str) -> int:
    found = [obj.difficult for obj in objects if obj.name == name]
    return ABSENT if not found else DIFFICULT if all(found) else PRESENT


def _xml(picture: Picture) -> str:
    annotation = Element('annotation')

    def fields(parent: Element, **values: object) -> None:
        for name, value in values.items():
            SubElement(parent, name).text = str(value)

    fields(annotation, folder=f'VOC{picture.year}', filename=f'{picture.name}.jpg')
    fields(
        SubElement(annotation, 'source'), database='soho synthetic data set', annotation='generated', image='generated'
    )
    fields(SubElement(annotation, 'size'), width=picture.size.width, height=picture.size.height, depth=3)
    fields(annotation, segmented=0)
    for obj in picture.objects:
        element = SubElement(annotation, 'object')
        fields(element, name=obj.name, pose='Unspecified', truncated=0, difficult=int(obj.difficult))
        if picture.year != '2007':
            fields(element, occluded=int(obj.occluded))
        fields(SubElement(element, 'bndbox'), **dict(zip(('xmin', 'ymin', 'xmax', 'ymax'), obj.box)))
    indent(annotation, '\t')
    return tostring(annotation, encoding='unicode') + '\n'
