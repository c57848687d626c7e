#!/usr/bin/env python
"""Public GQA questions -> the annotation files of SOHO.

    python tools/prepare/gqa.py --root data/gqa

finds the files of the public download (cs.stanford.edu/people/dorarad/gqa, "Questions"), unpacked, in the root or its
folder ``annotations``, with the images in ``images.zip`` or ``images/``, and writes

    train_data_gqa.json, val_data_gqa.json, testdev_data_gqa.json     of the balanced questions
    val_all_data_gqa.json, testdev_all_data_gqa.json                  of all questions: what consistency is measured on
    submission_data_gqa.json                                          what the server scores
        {data: [{file_name, image_id, height, width, vqa: [{question, question_id, labels, scores}]}],
        ans2label, label2ans}, as of VQA; labels and scores are empty where the answers are not public
    prepare_gqa.json
        arguments, counts and checksums; with it a second call has nothing to do.

Answer list: all answers of train and val by frequency, ties in alphabetical order; of the published balanced files
they are 1,842. The official ids of questions are texts with leading zeros; here they are numbers, and
``GQAAccuracy`` gives them back as they were. Printed beside the counts is what a model has to beat: how often the most
frequent answer of train is right, and the most frequent one to the same question, which is possible without the image.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from soho.datasets.records import GQAQuestion
from soho.datasets.storage.image_sizes import header_size
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import write_json_array
from soho.datasets.storage.json_records import stream_members
from soho.datasets.storage.manifest import Manifest, find_input
from soho.datasets.storage.published_images import check_images, open_images
from soho.errors import UserError, exit_on_user_error, quote
from soho.evaluation.gqa import is_number

# The published numbers of questions. Answers are counted in the balanced files of train and val.
FILES = {
    'train': ('train_balanced_questions.json', 943_000),
    'val': ('val_balanced_questions.json', 132_062),
    'testdev': ('testdev_balanced_questions.json', 12_578),
    'val_all': ('val_all_questions.json', 2_011_853),
    'testdev_all': ('testdev_all_questions.json', 172_174),
    'submission': ('submission_all_questions.json', 4_237_524),
}
NUM_ANSWERS = 1842
SOURCE = 'https://cs.stanford.edu/people/dorarad/gqa/download.html'


ByImage = dict[str, list[tuple[int, str, str | None]]]
"""Questions (id, text, answer) by image id."""


def read_split(path: Path) -> tuple[ByImage, Counter]:
    """Return the questions (id, text, answer) by image id, in the order of the file, and the count of each answer.

    Raises:
        UserError: An id is no number, two ids are the same number, or a question is empty.
    """
    by_image: ByImage = {}
    answers: Counter = Counter()
    seen = set()
    for name, record in stream_members(path, GQAQuestion):
        if not is_number(name) or int(name) in seen:
            what = 'the same number as another one' if is_number(name) else 'no number of at most 18 digits'
            raise UserError(f'the id {quote(name)} of a question of {path} is {what}')
        seen.add(int(name))
        by_image.setdefault(str(record.imageId), []).append((int(name), record.question, record.answer))
        answers.update(() if record.answer is None else (record.answer,))
    return by_image, answers


def text_answers(by_image: ByImage) -> dict[str, str]:
    """Return the most frequent answer to each text, in lower case."""
    pairs = Counter((text.lower(), answer) for asked in by_image.values() for _, text, answer in asked)
    return {text: answer for (text, answer), _ in reversed(pairs.most_common()) if answer is not None}


def score_baselines(by_image: ByImage, majority: str, to_text: dict[str, str]) -> dict[str, Any]:
    """Return how often answers without the image are right, in percent.

    Args:
        by_image: Questions with answers.
        majority: The most frequent answer of train, which is also given to a text that train does not have.
        to_text: The most frequent answer to each text of train.
    """
    pairs = [(text, answer) for asked in by_image.values() for _, text, answer in asked]
    always = sum(answer == majority for _, answer in pairs)
    same = sum(answer == to_text.get(text.lower(), majority) for text, answer in pairs)
    return dict(majority=majority, always=100 * always / len(pairs), same_question=100 * same / len(pairs))


def items(
    by_image: ByImage, store: ImageStore, labels: dict[str, int], counts: dict[str, int]
) -> Iterator[dict[str, Any]]:
    """Yield the items of a file, one per image; ``counts`` receives the questions whose answer is not in the list."""
    for image_id, questions in by_image.items():
        size = header_size(store, f'{image_id}.jpg')
        vqa = []
        for number, text, answer in questions:
            known = [labels[answer]] if answer in labels else []
            counts['outside_list'] += answer is not None and not known
            vqa.append(dict(question=text, question_id=number, labels=known, scores=[1.0] * len(known)))
        yield dict(file_name=f'{image_id}.jpg', image_id=image_id, height=size.height, width=size.width, vqa=vqa)


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the files; return the counts."""
    found = {split: path for split, (name, _) in FILES.items() if (path := find_input(args.root, name))}
    if not {'train', 'val'} & found.keys():
        raise FileNotFoundError(
            f'neither {args.root} nor its folder annotations holds {FILES["train"][0]} or {FILES["val"][0]}, whose '
            f'answers are the answer list; they are published at {SOURCE}'
        )
    store = open_images(args.images or args.root / 'images', SOURCE)
    manifest = Manifest(args.out, 'gqa', dict(splits=list(found)), [*found.values(), store.path])
    if counts := manifest.counts_if_current():
        return counts
    splits = {split: read_split(path) for split, path in found.items()}
    names = {split: [f'{image_id}.jpg' for image_id in by_image] for split, (by_image, _) in splits.items()}
    check_images(store, names, SOURCE)
    frequency = sum((splits[split][1] for split in ('train', 'val') if split in splits), Counter())
    label2ans = sorted(frequency, key=lambda answer: (-frequency[answer], answer))
    labels = {answer: label for label, answer in enumerate(label2ans)}
    counts, outputs = dict(answers=len(label2ans)), {}
    to_text = text_answers(splits['train'][0]) if 'train' in splits else {}
    for split, (by_image, answers) in splits.items():
        counts[split] = dict(images=len(by_image), questions=sum(map(len, by_image.values())), outside_list=0)
        if to_text and answers and split != 'train':
            counts[split]['baselines'] = score_baselines(by_image, splits['train'][1].most_common(1)[0][0], to_text)
        name = f'{split}_data_gqa.json'
        rest = dict(ans2label=labels, label2ans=label2ans)
        outputs[name] = write_json_array(
            args.out / name, items(by_image, store, labels, counts[split]), key='data', rest=rest
        )
    manifest.write(outputs, counts)
    return counts


def summary(counts: dict[str, Any]) -> str:
    """Return the counts as lines of text, beside the published ones, and what is missing."""
    lines = [f'{counts["answers"]} answers ({NUM_ANSWERS} of the published files)']
    for split, (name, published) in FILES.items():
        if split in counts:
            count = counts[split]
            line = f'{split}: {count["images"]} images, {count["questions"]} questions ({published} published)'
            outside = count['outside_list']
            lines.append(line + (f', {outside} with an answer outside the list' if outside else ''))
            if guess := count.get('baselines'):
                lines[-1] += (
                    f'; without the image: {guess["always"]:.2f} % by {guess["majority"]!r}, '
                    f'{guess["same_question"]:.2f} % by the most frequent answer to the same question'
                )
        else:
            lines.append(f'{split}: missing, {name} is published at {SOURCE}')
    return '\n'.join(lines)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, default=Path('data/gqa'), help='folder of the raw files')
    parser.add_argument('--out', type=Path, help='folder of the results (default: the root)')
    parser.add_argument('--images', type=Path, help='folder or zip of the images (default: images in the root)')
    args = parser.parse_args(argv)
    args.out = args.out or args.root
    return args


def main(argv: Sequence[str] | None = None) -> None:
    with exit_on_user_error():
        print(summary(prepare(parse_args(argv))))


if __name__ == '__main__':
    main()
