"""Scenes of a complete data set, read back from its files."""

from pathlib import Path

from soho.datasets.storage.json_files import stream_array
from soho.datasets.synthetic.scene import Scene, SceneObject


def read_scenes(root: Path, split: str) -> tuple[list[Scene], list[str]]:
    """Return the scenes of a split, such as ``'train2014'``, and the file names of their pictures."""
    scenes, names = [], []
    for number, record in enumerate(stream_array(root / f'scenes_{split}.json')):
        objects = tuple(
            SceneObject(
                *(item[name] for name in ('shape', 'color', 'size', 'texture')),
                centre=tuple(item['center']),
                diameter=item['diameter'],
                rotation=item['rotation'],
            )
            for item in record['objects']
        )
        scenes.append(Scene(split, number, record['width'], record['height'], record['background'], objects))
        names.append(record['file_name'])
    return scenes, names
