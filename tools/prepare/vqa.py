#!/usr/bin/env python
"""Public VQA v2 questions and annotations -> the annotation files of SOHO.

    python tools/prepare/vqa.py --root data/coco

finds the files of the public downloads, unpacked, in the root or its folder
``annotations`` (the flags name others), and writes

    train_data_vqa.json, val_data_vqa.json
        {data: [{file_name, image_id, height, width,
                 vqa: [{question, question_id, labels, scores}]}], ans2label, label2ans}
    test_data_vqa.json
        the same, with one item a question: {file_name, image_id, height, width, question, question_id}
    prepare_vqa.json
        arguments, counts and checksums; with it a second call has nothing to do.

Soft scores: an answer that n of the ten annotators gave, after the official
normalisation of answers, scores 0, 0.3, 0.6, 0.9 for n = 0 to 3 and 1 from n = 4 on. A
question with a single answer, as of one annotator, scores it 1.

Answer list: the answers by how many questions of train and val have them as their
most frequent answer (``multiple_choice_answer``), ties in alphabetical order.
The published list of 3,129 are those of at least 9 questions: ``--min-count 9``, or
``--num-answers 3129``, the default. Its order is another one, so an official
checkpoint needs ``--answer-list trainval_label2ans.json``.

Image sizes come from COCO json files (captions, instances, image info), and for
images that these lack from the image headers in ``train2014.zip`` or ``train2014/``.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from soho.datasets.answer_list import answer_text, read_ans2label, read_answer_lines, read_label2ans
from soho.datasets.base import first_id
from soho.datasets.records import AskedQuestion
from soho.datasets.storage.image_sizes import Size, coco_sizes, header_size
from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import load_json, write_json_array
from soho.datasets.storage.json_records import stream_records
from soho.datasets.storage.manifest import Manifest, find_input
from soho.errors import UserError, clip, exit_on_user_error, quote
from soho.evaluation.vqa import stream_annotations
from soho.evaluation.vqa_normalization import normalize_answer

SUBSETS = {'train': 'train2014', 'val': 'val2014', 'test': 'test2015'}
COCO_FILES = ('captions_{}.json', 'instances_{}.json', 'person_keypoints_{}.json', 'image_info_{}.json')
SCORES = (0.0, 0.3, 0.6, 0.9, 1.0)  # by the number of annotators
Questions = dict[int | str, list[tuple[int | str, str]]]  # image id to its (question id, question)


class Answers(NamedTuple):
    """Answers to a question after normalisation: the most frequent one, and the votes for each."""

    best: str
    votes: tuple[tuple[str, int], ...]


def read_answers(annotations: Path) -> dict[int | str, Answers]:
    """Return the answers of a VQA annotations file by question id."""
    result = {}
    for question_id, answers, item in stream_annotations(annotations):
        votes = Counter(map(normalize_answer, answers))
        best = item.multiple_choice_answer
        best = votes.most_common(1)[0][0] if best is None else normalize_answer(answer_text(best))
        result[question_id] = Answers(best, tuple(votes.items()))
    return result


def count_answers(splits: Iterable[dict[int | str, Answers]]) -> Counter:
    """Return the number of questions of which each answer is the most frequent one."""
    return Counter(answers.best for split in splits for answers in split.values())


def choose_answers(counts: Counter, num_answers: int | None, min_count: int) -> list[str]:
    """Return the answer list, sorted by descending count, then alphabetically."""
    ranked = sorted(counts, key=lambda answer: (-counts[answer], answer))
    return [answer for answer in ranked if counts[answer] >= min_count][:num_answers]


def read_answer_list(path: Path) -> list[str]:
    """Read ``label2ans`` (json list, or object by label), ``ans2label`` (json object) or one answer a line (``.txt``).

    Raises:
        UserError: The labels are not 0 to n - 1, or an answer is repeated.
    """
    if path.suffix == '.txt':
        answers = read_answer_lines(path)
    else:
        value = load_json(path)
        # Both forms are objects: {"0": "net"} has texts for values, {"net": 0} numbers.
        by_answer = isinstance(value, dict) and not any(isinstance(answer, str) for answer in value.values())
        if not isinstance(value, (list, dict)):
            raise UserError(f'{path} is not an answer list: expected a list of strings or an object of labels.')
        answers = read_ans2label(value, f'{path}') if by_answer else read_label2ans(value, f'{path}')
    if not answers:
        raise UserError(f'{path} is not an answer list: it is empty.')
    return answers


def label_lookup(label2ans: Sequence[str]) -> dict[str, int]:
    """Return the label of each normalised answer; the first one where two answers are equal after normalisation."""
    lookup: dict[str, int] = {}
    for label, answer in enumerate(label2ans):
        lookup.setdefault(normalize_answer(answer), label)
    return lookup


def soft_target(votes: Iterable[tuple[str, int]], lookup: dict[str, int]) -> tuple[list[int], list[float]]:
    """Return labels and scores of the answers that are in the answer list; a single answer scores 1."""
    votes = list(votes)
    single = sum(count for _, count in votes) == 1
    known = [(lookup[answer], 1.0 if single else SCORES[min(count, 4)]) for answer, count in votes if answer in lookup]
    return [label for label, _ in known], [score for _, score in known]


def read_questions(
    path: Path, answers: dict[int | str, Answers] | None = None, annotations: Path | None = None
) -> Questions:
    """Return the questions of a VQA questions file by image id, in the order of the file.

    Raises:
        UserError: Questions and annotations have different question ids.
    """
    by_image: Questions = {}
    seen: set[int | str] = set()
    for item in stream_records(path, AskedQuestion, 'questions'):
        if item.question_id in seen:
            raise UserError(f'Question {quote(item.question_id)} is repeated in {path}.')
        seen.add(item.question_id)
        by_image.setdefault(item.image_id, []).append((item.question_id, item.question.strip()))
    if answers is not None:
        for missing, here, there in (
            (seen - answers.keys(), path, annotations),
            (answers.keys() - seen, annotations, path),
        ):
            if missing:
                raise UserError(
                    f'{len(missing)} questions of {here} are not in {there}, the first is {quote(first_id(missing))}.'
                )
    return by_image


def items_with_answers(
    questions: Questions,
    answers: dict[int | str, Answers],
    sizes: dict[int | str, Size],
    lookup: dict[str, int],
    counts: dict[str, int],
) -> Iterator[dict[str, Any]]:
    """Yield the items of a training or validation file, one per image; ``counts`` receives the counts."""
    for image_id, image_questions in questions.items():
        vqa = []
        for question_id, question in image_questions:
            labels, scores = soft_target(answers[question_id].votes, lookup)
            counts['without_label'] += not labels
            vqa.append(dict(question=question, question_id=question_id, labels=labels, scores=scores))
        yield dict(
            file_name=sizes[image_id].file_name,
            image_id=image_id,
            height=sizes[image_id].height,
            width=sizes[image_id].width,
            vqa=vqa,
        )


def items_without_answers(questions: Questions, sizes: dict[int | str, Size]) -> Iterator[dict[str, Any]]:
    """Yield the items of a test file, one per question."""
    for image_id, image_questions in questions.items():
        size = sizes[image_id]
        for question_id, question in image_questions:
            yield dict(
                file_name=size.file_name,
                image_id=image_id,
                height=size.height,
                width=size.width,
                question=question,
                question_id=question_id,
            )


class Sources(NamedTuple):
    """Files of one split."""

    questions: Path
    annotations: Path | None
    image_info: list[Path]
    images: Path  # folder, or zip without its ending; either may be absent


def find_sources(args: argparse.Namespace) -> dict[str, Sources]:
    """Return the files of each split; a split without any file is left out.

    Raises:
        FileNotFoundError: A split lacks questions or annotations, or there is no split.
    """
    sources = {}
    for split, subset in SUBSETS.items():
        questions = getattr(args, f'{split}_questions') or find_input(
            args.root, f'v2_OpenEnded_mscoco_{subset}_questions.json'
        )
        annotations = (
            None
            if split == 'test'
            else getattr(args, f'{split}_annotations') or find_input(args.root, f'v2_mscoco_{subset}_annotations.json')
        )
        if questions is None and annotations is None:
            continue
        if questions is None or (annotations is None and split != 'test'):
            lacking, there = ('questions', annotations) if questions is None else ('annotations', questions)
            raise FileNotFoundError(
                f'{there} needs the {lacking} of the same split beside it (or --{split}-{lacking} FILE).'
            )
        coco_file = find_input(args.root, *(name.format(subset) for name in COCO_FILES))
        image_info = args.image_info or ([coco_file] if coco_file else [])
        sources[split] = Sources(questions, annotations, image_info, (args.images or args.root) / subset)
    if not sources:
        raise FileNotFoundError(
            f'Neither {args.root} nor {args.root / "annotations"} holds a file such as '
            'v2_OpenEnded_mscoco_train2014_questions.json; --train-questions and the '
            'like name other files.'
        )
    return sources


def image_name(image_id: int | str, source: Sources) -> str:
    """Return the file name of an image that no COCO file lists."""
    return image_id if isinstance(image_id, str) else f'COCO_{source.images.name}_{image_id:012d}.jpg'


def find_sizes(source: Sources, image_ids: Iterable[int | str]) -> tuple[dict[int | str, Size], int]:
    """Return the sizes by image id, and how many of them were read from image headers."""
    known = coco_sizes(source.image_info)
    sizes = {image_id: known[image_id] for image_id in image_ids if image_id in known}
    unsized = {image_id: image_name(image_id, source) for image_id in image_ids if image_id not in known}
    if unsized:
        try:
            store = ImageStore(source.images)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f'{len(unsized)} images, such as {clip(next(iter(unsized.values())))}, are in no COCO json file '
                f'(--image-info), so that their sizes have to come from the images (--images): {error}.'
            ) from error
        sizes.update((image_id, header_size(store, name)) for image_id, name in unsized.items())
    return sizes, len(unsized)


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Write the files; return the counts."""
    sources = find_sources(args)
    inputs = [args.answer_list] if args.answer_list else []
    for source in sources.values():
        archives = (source.images, source.images.with_suffix('.zip'))
        inputs += [source.questions, *source.image_info, *(path for path in archives if path.exists())]
        inputs += [source.annotations] if source.annotations else []
    manifest = Manifest(
        args.out, 'vqa', dict(num_answers=args.num_answers, min_count=args.min_count, splits=list(sources)), inputs
    )
    if counts := manifest.counts_if_current():
        return counts

    answers = {split: read_answers(source.annotations) for split, source in sources.items() if source.annotations}
    if args.answer_list:
        label2ans = read_answer_list(args.answer_list)
    elif answers:
        label2ans = choose_answers(count_answers(answers.values()), args.num_answers, args.min_count)
    else:
        raise UserError('Without annotations of train or val there is no answer list; name one with --answer-list.')
    lookup = label_lookup(label2ans)
    rest = dict(ans2label={answer: label for label, answer in enumerate(label2ans)}, label2ans=label2ans)
    counts, outputs = dict(answers=len(label2ans)), {}
    for split, source in sources.items():
        questions = read_questions(source.questions, answers.get(split), source.annotations)
        sizes, from_headers = find_sizes(source, questions)
        counts[split] = dict(
            images=len(questions), questions=sum(map(len, questions.values())), sizes_from_headers=from_headers
        )
        if split in answers:
            counts[split]['without_label'] = 0
            items = items_with_answers(questions, answers[split], sizes, lookup, counts[split])
        else:
            items = items_without_answers(questions, sizes)
        name = f'{split}_data_vqa.json'
        outputs[name] = write_json_array(args.out / name, items, key='data', rest=rest)
    manifest.write(outputs, counts)
    return counts


def summary(counts: dict[str, Any]) -> str:
    """Return the counts as lines of text."""
    lines = [f'{counts["answers"]} answers']
    for split in (split for split in SUBSETS if split in counts):
        count = counts[split]
        line = f'{split}: {count["images"]} images, {count["questions"]} questions'
        if 'without_label' in count:
            line += f', {count["without_label"]} of these without any answer of the list'
        if count['sizes_from_headers']:
            line += f'; {count["sizes_from_headers"]} sizes read from image headers'
        lines.append(line)
    return '\n'.join(lines)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, default=Path('data/coco'), help='folder of the raw files')
    parser.add_argument('--out', type=Path, help='folder of the results (default: the root)')
    for split in SUBSETS:
        parser.add_argument(f'--{split}-questions', type=Path, metavar='FILE')
        if split != 'test':
            parser.add_argument(f'--{split}-annotations', type=Path, metavar='FILE')
    parser.add_argument(
        '--image-info',
        type=Path,
        nargs='+',
        metavar='FILE',
        help="COCO json files with a list 'images' (default: those found in the root)",
    )
    parser.add_argument('--images', type=Path, help='folder of the image zips or folders (default: the root)')
    parser.add_argument(
        '--num-answers',
        type=int,
        help='most answers in the list (default: 3129, or no limit where --min-count is given)',
    )
    parser.add_argument('--min-count', type=int, help='least number of questions with an answer')
    parser.add_argument('--answer-list', type=Path, metavar='FILE', help='use this list instead')
    args = parser.parse_args(argv)
    if args.answer_list and (args.num_answers or args.min_count):
        parser.error('--answer-list fixes the list: --num-answers and --min-count do not go with it')
    for name in ('num_answers', 'min_count'):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            parser.error(f'--{name.replace("_", "-")} must be 1 or more')
    if args.num_answers is None and args.min_count is None:
        args.num_answers = 3129
    args.min_count = args.min_count or 1
    args.out = args.out or args.root
    return args


def main(argv: Sequence[str] | None = None) -> None:
    with exit_on_user_error():
        print(summary(prepare(parse_args(argv))))


if __name__ == '__main__':
    main()
