"""Export of statements about pictures in the format of SNLI-VE.

``snli_ve/snli_ve_train.jsonl``, ``..._dev.jsonl`` and ``..._test.jsonl`` are about the pictures of train2014, val2014
and test2015. There is no premise text.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from soho.datasets.storage.json_files import write_json_lines
from soho.datasets.synthetic.entailment import make_hypotheses
from soho.datasets.synthetic.exports.scenes import read_scenes, read_seed
from soho.files import atomic_folder, read_lines

FILES = {'train': 'train2014', 'dev': 'val2014', 'test': 'test2015'}


def export_snli_ve(root: Path) -> dict[str, int]:
    """Write ``snli_ve`` into the data set at ``root``; see ``formats.py``. The counts are of statements."""
    target = root / 'snli_ve'
    if not target.exists():
        seed = read_seed(root)
        with atomic_folder(target) as folder:
            for name, split in FILES.items():
                write_json_lines(folder / f'snli_ve_{name}.jsonl', _statements(seed, root, split))
    return {name: len(read_lines(target / f'snli_ve_{name}.jsonl')) for name in FILES}


def _statements(seed: int, root: Path, split: str) -> Iterator[dict[str, Any]]:
    for scene, file_name in zip(*read_scenes(root, split)):
        for number, hypothesis in enumerate(make_hypotheses(seed, scene)):
            yield dict(
                Flickr30K_ID=file_name.removesuffix('.jpg'),
                pairID=f'{file_name}#{number}',
                gold_label=hypothesis.label,
                annotator_labels=[hypothesis.label],
                sentence2=hypothesis.text,
                height=scene.height,
                width=scene.width,
            )
