"""Export of single objects in the layout of ImageNet: ``train`` and ``val`` with a folder per class.

A class is a shape; its folder is named as a WordNet synset is (``n00000001``), and
``LOC_synset_mapping.txt`` says what it means.
"""

from pathlib import Path

from soho.datasets.synthetic.exports.object_crops import SPLITS, synthetic_objects
from soho.files import atomic_folder


def export_imagenet(root: Path) -> dict[str, int]:
    """Write ``imagenet`` into the data set at ``root``; see ``formats.py``."""
    target = root / 'imagenet'
    if not target.exists():
        with atomic_folder(target) as folder:
            categories: list[str] = []
            for split in SPLITS:
                names, objects = synthetic_objects(root, split)
                categories = names['category']
                for i in range(len(categories)):
                    (folder / split / _synset(i)).mkdir(parents=True)
                for obj in objects:
                    synset = _synset(obj.labels['category'])
                    (folder / split / synset / f'{synset}_{obj.number}.JPEG').write_bytes(obj.jpeg)
            (folder / 'LOC_synset_mapping.txt').write_text(
                ''.join(f'{_synset(i)} {name}\n' for i, name in enumerate(categories))
            )
    return {split: sum(1 for _ in (target / split).glob('*/*')) for split in SPLITS}


def _synset(label: int) -> str:
    return f'n{label + 1:08d}'
