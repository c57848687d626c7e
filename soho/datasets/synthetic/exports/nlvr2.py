"""Export of statements about pairs of pictures in the format of NLVR2.

A split is a file of an object a line in ``nlvr2``: train.jsonl, dev.jsonl, test1.jsonl. ``images`` names the pair in
the split's own pictures, so that none is copied.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from soho.datasets.storage.json_files import write_json_lines
from soho.datasets.synthetic.exports.scenes import read_scenes, read_seed
from soho.datasets.synthetic.pair_statements import make_statement_set
from soho.datasets.synthetic.scene import SPLITS, Scene
from soho.files import atomic_folder, read_lines

FILES = {'train': 'train2014', 'dev': 'val2014', 'test1': 'test2015'}
# Statements a scene; each has four pairs.
STATEMENTS_PER_SCENE = 0.5


def make_examples(seed: int, name: str, scenes: list[Scene], file_names: list[str]) -> list[dict[str, Any]]:
    """Return the examples of a split of NLVR2 in its format.

    Args:
        seed: Seed of the data set.
        name: ``'train'``, ``'dev'`` or ``'test1'``.
        scenes: Scenes of the split.
        file_names: Names of their pictures.
    """
    rng = np.random.default_rng([seed, SPLITS[scenes[0].split], zlib.crc32(b'nlvr2')])
    examples = []
    for number in range(int(len(scenes) * STATEMENTS_PER_SCENE)):
        statement = make_statement_set(rng, scenes)
        for pair_number, (pair, label) in enumerate(zip(statement.pairs, statement.labels)):
            examples.append(
                dict(
                    identifier=f'{name}-{number}-{pair_number}-0',
                    sentence=statement.text,
                    label=str(label),
                    images=[file_names[scene.index] for scene in pair],
                    sizes=[[scene.height, scene.width] for scene in pair],
                )
            )
    return examples


def export_nlvr2(root: Path) -> dict[str, int]:
    """Write ``nlvr2`` into the data set at ``root``; see ``formats.py``. The counts are of examples."""
    target = root / 'nlvr2'
    if not target.exists():
        seed = read_seed(root)
        with atomic_folder(target) as folder:
            for name, split in FILES.items():
                examples = make_examples(seed, name, *read_scenes(root, split))
                write_json_lines(folder / f'{name}.jsonl', examples)
    return {name: len(read_lines(target / f'{name}.jsonl')) for name in FILES}
