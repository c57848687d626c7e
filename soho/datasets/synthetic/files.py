"""Writers of the files of the public downloads, item by item so that memory stays bounded.

Field names and nesting are those of COCO 2014 (captions, instances), VQA v2
(questions, annotations) and Visual Genome 1.2 (region descriptions, image data).
"""

import json
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from soho.files import atomic_path, atomic_write

from .scene import ATTRIBUTES, SHAPES

INFO = dict(
    description='soho synthetic data set',
    url='',
    version='1.0',
    year=2026,
    contributor='soho',
    date_created='2026-01-01 00:00:00',
)
LICENSE = dict(id=1, name='Apache License 2.0', url='http://www.apache.org/licenses/LICENSE-2.0')
QUESTION_LICENSE = dict(name=LICENSE['name'], url=LICENSE['url'])
SUPERCATEGORIES = {'circle': 'round', 'ring': 'round', 'heart': 'round'}
CATEGORIES = [
    dict(id=number, name=shape, supercategory=SUPERCATEGORIES.get(shape, 'angular'))
    for number, shape in enumerate(SHAPES, start=1)
]
# As Fashionpedia, which adds attributes to the COCO format.
OBJECT_ATTRIBUTES = [
    dict(id=number, name=value, supercategory=kind)
    for number, (kind, value) in enumerate(
        ((kind, value) for kind in ('color', 'texture', 'size') for value in ATTRIBUTES[kind]), start=1
    )
]


class JsonListFile:
    """A JSON file whose long lists are written item by item.

    Args:
        stack: Closes the file at its end, and drops it after an error.
        path: Path of the file.
        head: Members before the lists; None for a file that is one bare list.
        lists: Names of the lists. The first is streamed to the file, further ones
            (short items) are kept as text until the end.
    """

    def __init__(self, stack: ExitStack, path: Path, head: dict | None, *lists: str) -> None:
        self._file = stack.enter_context(atomic_write(path, 'w'))
        self._bare = head is None
        self._streamed, self._kept = (lists[0] if lists else None), {name: [] for name in lists[1:]}
        self._empty = True
        if self._bare:
            self._file.write('[')
        else:
            start = json.dumps(head)[:-1]
            self._file.write(f'{start}{", " if head else ""}"{self._streamed}": [')

    def add(self, items: list[str], name: str | None = None) -> None:
        """Append items, which are JSON texts, to the streamed list or to the list ``name``."""
        if name in self._kept:
            self._kept[name].extend(items)
            return
        for item in items:
            self._file.write(('' if self._empty else ',') + '\n' + item)
            self._empty = False

    def finish(self) -> None:
        """Write the end of the streamed list, and the other lists."""
        self._file.write('\n]')
        for name, items in self._kept.items():
            self._file.write(f', "{name}": [\n' + ',\n'.join(items) + '\n]')
        self._file.write('\n' if self._bare else '}\n')


class JsonMembersFile:
    """A JSON file that is one object, written member by member.

    Args:
        stack: Closes the file at its end, and drops it after an error.
        path: Path of the file.
    """

    def __init__(self, stack: ExitStack, path: Path) -> None:
        self._file = stack.enter_context(atomic_write(path, 'w'))
        self._next = '{\n'

    def add(self, name: str, value: Any) -> None:
        """Append a member."""
        self._file.write(f'{self._next}{json.dumps(name)}: {json.dumps(value)}')
        self._next = ',\n'

    def finish(self) -> None:
        """Write the end of the object."""
        self._file.write(('{' if self._next == '{\n' else '') + '\n}\n')


class PictureZip:
    """A zip of JPEGs, stored uncompressed and with a fixed date, so that equal pictures make equal files.

    Args:
        stack: Closes the zip at its end, and drops it after an error.
        path: Path of the zip.
    """

    def __init__(self, stack: ExitStack, path: Path) -> None:
        temporary = stack.enter_context(atomic_path(path))
        self._zip = stack.enter_context(zipfile.ZipFile(temporary, 'w', zipfile.ZIP_STORED))

    def add(self, member: str, data: bytes) -> None:
        """Append a picture under the name ``member``."""
        self._zip.writestr(zipfile.ZipInfo(member, date_time=(2026, 1, 1, 0, 0, 0)), data)


class CocoSplitFiles:
    """All files of one COCO split: pictures, captions, instances, questions, answers and scenes.

    For test2015 there are no captions and instances but a list of its images, as in the real download.

    Args:
        stack: Closes the files at its end, and drops them after an error.
        root: Folder of the data set.
        split: ``'train2014'``, ``'val2014'`` or ``'test2015'``.
    """

    def __init__(self, stack: ExitStack, root: Path, split: str) -> None:
        annotations = root / 'annotations'
        coco_head = dict(info=INFO, licenses=[LICENSE])
        vqa_head = dict(info=INFO, data_type='mscoco', data_subtype=split, license=QUESTION_LICENSE)
        self._pictures = PictureZip(stack, root / f'{split}.zip')
        self._files = {
            'questions': JsonListFile(
                stack,
                root / f'v2_OpenEnded_mscoco_{split}_questions.json',
                dict(vqa_head, task_type='Open-Ended'),
                'questions',
            ),
            'answers': JsonListFile(stack, root / f'v2_mscoco_{split}_annotations.json', vqa_head, 'annotations'),
            'scenes': JsonListFile(stack, root / f'scenes_{split}.json', None),
        }
        if split == 'test2015':
            self._files['image_info'] = JsonListFile(
                stack, annotations / f'image_info_{split}.json', dict(coco_head, categories=CATEGORIES), 'images'
            )
        else:
            self._files['captions'] = JsonListFile(
                stack, annotations / f'captions_{split}.json', coco_head, 'annotations', 'images'
            )
            self._files['instances'] = JsonListFile(
                stack,
                annotations / f'instances_{split}.json',
                dict(coco_head, categories=CATEGORIES, attributes=OBJECT_ATTRIBUTES),
                'annotations',
                'images',
            )

    def add(self, member: str, picture: bytes, image: str, items: dict[str, list[str]]) -> None:
        """Write one image; ``items`` holds JSON texts by the name of their file."""
        self._pictures.add(member, picture)
        for name, file in self._files.items():
            if name in items:
                file.add(items[name])
            if name in ('captions', 'instances', 'image_info'):
                file.add([image], 'images')

    def finish(self) -> None:
        """Write the ends of the JSON files."""
        for file in self._files.values():
            file.finish()


class VisualGenomeFiles:
    """``images.zip``, ``region_descriptions.json`` and ``image_data.json``.

    Args:
        stack: Closes the files at its end, and drops them after an error.
        root: Folder of the data set.
    """

    def __init__(self, stack: ExitStack, root: Path) -> None:
        self._pictures = PictureZip(stack, root / 'images.zip')
        self._regions = JsonListFile(stack, root / 'region_descriptions.json', None)
        self._images = JsonListFile(stack, root / 'image_data.json', None)

    def add(self, member: str, picture: bytes, regions: str, image: str) -> None:
        """Write one image; ``regions`` and ``image`` are JSON texts."""
        self._pictures.add(member, picture)
        self._regions.add([regions])
        self._images.add([image])

    def finish(self) -> None:
        """Write the ends of the JSON files."""
        self._regions.finish()
        self._images.finish()
