"""Export to LVIS v1 (lvisdataset.org): a long tail of categories, each annotated on some images only.

A category is a textured shape (``striped heart``). As in LVIS, an image lists
the categories that are verified to be absent (``neg_category_ids``) and
those of which not every instance is annotated (``not_exhaustive_category_ids``);
other categories are unknown. Each category keeps three quarters as many training images as the one
before it, so that there are rare, common and frequent ones; as in LVIS, the number of training images decides.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from soho.datasets.records import Category
from soho.datasets.storage.image_sizes import coco_sizes
from soho.datasets.storage.json_files import load_json, stream_array, write_json
from soho.datasets.storage.json_records import stream_records
from soho.datasets.synthetic.files import LICENSE
from soho.datasets.synthetic.scene import SHAPES, TEXTURES

SPLITS = {'train': 'train2014', 'val': 'val2014'}
# Categories; the n-th is kept in about TAIL ** n of the training images that show it.
NAMES = [f'{texture} {shape}' for texture in TEXTURES for shape in SHAPES]
TAIL = 0.75
NEGATIVES = 4  # absent categories that an image lists
NOT_EXHAUSTIVE = 0.1  # of the categories in an image
RARE, COMMON = 10, 100  # training images of a rare category are fewer than the first, of a common one than the second


def export_lvis(root: Path) -> dict[str, int]:
    """Write ``lvis/lvis_v1_{train,val}.json`` into the data set at ``root``; the pictures stay where they are.

    See ``formats.py``.
    """
    paths = {split: root / f'lvis/lvis_v1_{split}.json' for split in SPLITS}
    if not all(path.exists() for path in paths.values()):
        train = _read(root, 'train')
        images = Counter(
            category for _, category in {(item['image_id'], item['category_id']) for item in train['annotations']}
        )
        instances = Counter(item['category_id'] for item in train['annotations'])
        categories = [
            dict(
                id=number,
                name=name.replace(' ', '_'),
                synset=f'{name.replace(" ", "_")}.n.01',
                synonyms=[name],
                **{'def': f'a {name}'},
                image_count=images[number],
                instance_count=instances[number],
                frequency='r' if images[number] < RARE else 'c' if images[number] < COMMON else 'f',
            )
            for number, name in enumerate(NAMES, start=1)
        ]
        for split, path in paths.items():
            content = train if split == 'train' else _read(root, split)
            write_json(
                path,
                dict(
                    info=dict(description='soho synthetic data set', version='v1.0', year=2026),
                    licenses=[LICENSE],
                    categories=categories,
                    **content,
                ),
            )
    return {split: sum(1 for _ in stream_array(path, 'images')) for split, path in paths.items()}


def _read(root: Path, split: str) -> dict[str, list[dict[str, Any]]]:
    """Return ``images`` and ``annotations`` of a split."""
    source = SPLITS[split]
    file = root / f'annotations/instances_{source}.json'
    textures = {
        (scene['image_id'], number): obj['texture']
        for scene in load_json(root / f'scenes_{source}.json')
        for number, obj in enumerate(scene['objects'])
    }
    shapes = {item.id: item.name for item in stream_records(file, Category, 'categories')}
    nth = Counter()
    found = defaultdict(lambda: defaultdict(list))
    for item in stream_array(file, 'annotations'):
        image = item['image_id']
        name = f'{textures[image, nth[image]]} {shapes[item["category_id"]]}'
        nth[image] += 1
        found[image][NAMES.index(name) + 1].append(item)
    images, annotations = [], []
    for image, size in coco_sizes([file]).items():
        rng = np.random.default_rng([int(image)])
        everything = np.arange(1, len(NAMES) + 1)
        # In training, a category of the tail is usually not annotated, and then unknown.
        kept = [c for c in sorted(found[image]) if split == 'val' or rng.random() < TAIL ** (c - 1)]
        absent = np.setdiff1d(everything, list(found[image]))
        images.append(
            dict(
                id=image,
                height=size.height,
                width=size.width,
                license=LICENSE['id'],
                date_captured='2026-01-01 00:00:00',
                coco_url=f'https://generated.invalid/{source}/{size.file_name}',
                flickr_url='',
                neg_category_ids=sorted(rng.choice(absent, min(NEGATIVES, len(absent)), replace=False).tolist()),
                not_exhaustive_category_ids=[c for c in kept if rng.random() < NOT_EXHAUSTIVE],
            )
        )
        for category in kept:
            for item in found[image][category]:
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=image,
                        category_id=category,
                        area=item['area'],
                        bbox=item['bbox'],
                        segmentation=item['segmentation'],
                    )
                )
    return dict(images=images, annotations=annotations)
