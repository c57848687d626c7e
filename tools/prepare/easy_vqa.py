#!/usr/bin/env python
"""Fetch easy-VQA, 5,000 pictures of one shape with 48,248 questions, from the Python package index.

    python tools/prepare/easy_vqa.py [--out data/easy_vqa]

writes ``train_data_vqa.json``, ``test_data_vqa.json``, ``test_answers.json``, the vocabulary of the training questions,
``vocab.txt``, and the pictures, ``train.zip`` and ``test.zip``: what ``configs/VQA/soho_easyvqa.py`` reads. The package
easy-vqa (Victor Zhou, MIT) holds the data themselves.
"""

import argparse
import json
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from soho.datasets.storage.json_files import write_json
from soho.datasets.storage.packages import fetch_package
from soho.datasets.wordpiece import write_vocabulary
from soho.errors import exit_on_user_error
from soho.files import atomic_path

PACKAGE = 'easy-vqa==1.0'
DATA = 'easy_vqa/data'
SHA256 = {
    f'{DATA}/answers.txt': 'f004fd115e14db5f70a3a4e1b06d89fd76d45d7446a62d12b50ed1ac2a1a824c',
    f'{DATA}/train/questions.json': 'bb67697636aed0e65631d4266824aebeae5c833b0f37ed781e20752e85617ec5',
    f'{DATA}/test/questions.json': '0d4630a51bafec65343e2f6af9cdd20cf8eae214344ef57636202eec409553f7',
}
SIDE = 64  # pixels, of all pictures
SPLITS = ('train', 'test')


def pack_images(source: Path, target: Path) -> int:
    """Write the pictures of a folder into a zip, in the order of their numbers; return how many there are."""
    images = sorted(source.glob('*.png'), key=lambda path: int(path.stem))
    with atomic_path(target) as path, zipfile.ZipFile(path, 'w') as archive:
        for image in images:
            archive.write(image, f'{target.stem}/{image.name}')
    return len(images)


def convert(data: Path, out: Path) -> dict[str, int]:
    """Write the files; return the number of pictures and questions of each split.

    Args:
        data: Folder of the package's data.
        out: Folder of the results.
    """
    label2ans = (data / 'answers.txt').read_text(encoding='utf-8').split()
    labels = {answer: label for label, answer in enumerate(label2ans)}
    counts = {}
    for split in SPLITS:
        questions = json.loads((data / split / 'questions.json').read_text(encoding='utf-8'))
        by_image: dict[int, list[dict]] = {}
        for number, (question, answer, image) in enumerate(questions):
            asked = dict(question=question, question_id=number)
            if split == 'train':
                asked.update(labels=[labels[answer]], scores=[1.0])
            by_image.setdefault(image, []).append(asked)
        items = [
            dict(file_name=f'{image}.png', image_id=image, height=SIDE, width=SIDE, vqa=vqa)
            for image, vqa in by_image.items()
        ]
        write_json(out / f'{split}_data_vqa.json', dict(data=items, ans2label=labels, label2ans=label2ans))
        counts[f'{split} pictures'] = pack_images(data / split / 'images', out / f'{split}.zip')
        counts[f'{split} questions'] = len(questions)
        if split == 'train':
            write_vocabulary(out / 'vocab.txt', [question for question, _, _ in questions])
        else:
            write_json(out / 'test_answers.json', {str(i): answer for i, (_, answer, _) in enumerate(questions)})
    return counts


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('data/easy_vqa'), help='folder; default: %(default)s')
    args = parser.parse_args(argv)
    with exit_on_user_error():
        args.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=args.out) as folder:
            counts = convert(fetch_package(PACKAGE, SHA256, Path(folder)) / DATA, args.out)
    print(', '.join(f'{count} {name}' for name, count in counts.items()))


if __name__ == '__main__':
    main()
