"""Export of single objects in the format of iNaturalist 2018.

A species is a textured shape (``striped heart``), its supercategory the shape.
"""

from pathlib import Path

from soho.datasets.object_crops import SIZE
from soho.datasets.storage.json_files import stream_array, write_json
from soho.datasets.synthetic.exports.object_crops import SPLITS, synthetic_objects
from soho.datasets.synthetic.files import LICENSE
from soho.files import atomic_folder

IMAGES = 'train_val2018'


def export_inaturalist(root: Path) -> dict[str, int]:
    """Write ``inaturalist`` into the data set at ``root``; see ``formats.py``."""
    target = root / 'inaturalist'
    if not target.exists():
        with atomic_folder(target) as folder:
            for split in SPLITS:
                _write(root, split, folder)
    return {split: sum(1 for _ in stream_array(target / f'annotations/{split}2018.json', 'images')) for split in SPLITS}


def _write(root: Path, split: str, folder: Path) -> None:
    names, objects = synthetic_objects(root, split)
    shapes, textures = names['category'], names['texture']
    images, annotations = [], []
    for obj in objects:
        shape, texture = obj.labels['category'], obj.labels['texture']
        species = shape * len(textures) + texture
        name = f'{IMAGES}/{shapes[shape].title()}/{species}/{obj.number:032x}.jpg'
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(obj.jpeg)
        images.append(
            dict(id=obj.number, file_name=name, width=SIZE, height=SIZE, license=LICENSE['id'], rights_holder='soho')
        )
        annotations.append(dict(id=obj.number, image_id=obj.number, category_id=species))
    categories = [
        dict(id=i * len(textures) + j, name=f'{texture} {shape}', supercategory=shape.title())
        for i, shape in enumerate(shapes)
        for j, texture in enumerate(textures)
    ]
    (folder / 'annotations').mkdir(exist_ok=True)
    write_json(
        folder / f'annotations/{split}2018.json',
        dict(
            info=dict(description='soho synthetic data set', version='2018', year=2026),
            images=images,
            licenses=[LICENSE],
            annotations=annotations,
            categories=categories,
        ),
    )
