"""Split an annotation file into a training and a validation part, by image.

    python tools/prepare/split.py data/easy_vqa/train_data_vqa.json --val 0.1

writes ``train_data_vqa.train.json`` and ``train_data_vqa.val.json`` beside the
file. All questions or captions of an image stay together, so that no validation image
is seen in training. Works on this project's VQA files
(``data``, ``ans2label``, ``label2ans``) and pretraining files (a list).
"""

import argparse
from pathlib import Path

import numpy as np

from soho.datasets.records import ImageReference
from soho.datasets.storage.json_files import load_json, write_json_array
from soho.datasets.storage.json_records import item_place, to_record
from soho.errors import UserError, exit_on_user_error


def split(path: Path, share: float, seed: int = 0) -> dict[str, int]:
    """Write the two parts; return the number of images of each.

    Args:
        path: Annotation file.
        share: Share of the images in the validation part, in (0, 1).
        seed: Seed of the choice.

    Raises:
        UserError: ``share`` leaves a part empty.
    """
    annotations = load_json(path)
    key = 'data' if isinstance(annotations, dict) else None
    records = annotations if key is None else annotations.get(key)
    if not isinstance(records, list):
        raise UserError(f'{path} should be a list of images, or an object with such a list as its data')
    # 1 and '1' may be one image; they come into one part.
    names = [
        str(to_record(record, ImageReference, item_place(path, key, number)).image_id)
        for number, record in enumerate(records)
    ]
    images = sorted(set(names))
    chosen = np.random.default_rng(seed).permutation(len(images))[: round(share * len(images))]
    held_out = {images[i] for i in chosen}
    if not 0 < len(held_out) < len(images):
        raise UserError(f'--val {share} of the {len(images)} images of {path} leaves one part empty')
    rest = {k: v for k, v in annotations.items() if k != 'data'} if isinstance(annotations, dict) else None
    counts = {}
    for part, wanted in (('train', False), ('val', True)):
        write_json_array(
            path.with_suffix(f'.{part}.json'),
            (record for record, name in zip(records, names) if (name in held_out) == wanted),
            key=None if rest is None else 'data',
            rest=rest,
        )
        counts[part] = len(held_out) if wanted else len(images) - len(held_out)
    return counts


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('annotations', type=Path)
    parser.add_argument('--val', type=float, default=0.1, metavar='SHARE', help='share of the images held out')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args(argv)
    with exit_on_user_error():
        counts = split(args.annotations, args.val, args.seed)
    print(', '.join(f'{part}: {n} images' for part, n in counts.items()))


if __name__ == '__main__':
    main()
