"""Scenes of a complete data set, read back from its files."""

from pathlib import Path

from soho.datasets.records import GeneratedData
from soho.datasets.storage.json_files import load_json, stream_array
from soho.datasets.storage.json_records import to_record
from soho.datasets.synthetic.scene import Scene, SceneObject


def read_scenes(root: Path, split: str) -> tuple[list[Scene], list[str]]:
    """Return the scenes of a split, such as ``'train2014'``, and the file names of their pictures."""
    scenes, names = [], []
    for number, record in enumerate(stream_array(root / f'scenes_{split}.json')):
        objects = tuple(
            SceneObject(
                *(item[name] for name in ('shape', 'color', 'size', 'texture')),
                center=tuple(item['center']),
                diameter=item['diameter'],
                rotation=item['rotation'],
            )
            for item in record['objects']
        )
        scenes.append(Scene(split, number, record['width'], record['height'], record['background'], objects))
        names.append(record['file_name'])
    return scenes, names


def read_seed(root: Path) -> int:
    """Return the seed of a complete data set."""
    path = root / 'synthetic.json'
    return to_record(load_json(path), GeneratedData, str(path)).seed
