"""Questions of a table: annotation files of VQA, the answer list, the vocabulary, and baselines without the image."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from soho.apis.own_data.content import Content, Prepared
from soho.apis.own_data.request import Request
from soho.apis.own_data.rows import SPLITS, Row
from soho.datasets.storage.image_sizes import Size
from soho.datasets.storage.json_files import write_json
from soho.datasets.storage.named_pictures import Picture
from soho.datasets.wordpiece import write_vocabulary
from soho.errors import UserError, count_of

VOCABULARY = 'vocab.txt'


class Question(NamedTuple):
    """A question about a picture with the votes of all who answered it."""

    text: str
    votes: Counter
    type: str | None = None


def prepare_questions(request: Request, content: Content) -> Prepared:
    """Write the files of a table of questions."""
    grouped = group_questions(content.rows, content.pictures, content.splits)
    flat = {split: [q for questions in images.values() for q in questions] for split, images in grouped.items()}
    answers = choose_answers(flat['train'], request.min_count)
    sizes = {picture.size.file_name: picture.size for picture in content.pictures.values()}
    files = write_questions(request.out, grouped, sizes, answers)
    write_vocabulary(request.out / VOCABULARY, [question.text for question in flat['train']])
    listed = set(answers)
    known = sum(not listed.isdisjoint(question.votes) for question in flat['val'])
    guesses = baselines(flat['train'], flat['val'])
    majority = guesses['most frequent answer'][0]
    return Prepared(
        files,
        lambda file: f'majority_answer={majority!r}',
        [
            *(
                f'{split}: {count_of(len(grouped[split]), "picture")}, {count_of(len(flat[split]), "question")}'
                for split in files
            ),
            f'{len(answers)} answers; {100 * known / len(flat["val"]):.1f} % of the val questions have one of them',
            *(
                f'baseline on val, {name}{f" ({answer!r})" if answer else ""}: {accuracy:.1f} %'
                for name, (answer, accuracy) in guesses.items()
            ),
        ],
        model=f'heads=dict(vqa=dict(num_classes={len(answers)}))',
        # What is pretrained brings its own.
        vocabulary=VOCABULARY if 'scratch' in (request.recipe or '') else None,
    )


def group_questions(
    rows: Sequence[Row], pictures: dict[str, Picture], splits: Sequence[str]
) -> dict[str, dict[str, list[Question]]]:
    """Return the questions of each picture, by split and file name, in the order of the table."""
    grouped: dict[str, dict[str, dict[str, Question]]] = {split: {} for split in SPLITS}
    for row, split in zip(rows, splits):
        questions = grouped[split].setdefault(pictures[row.images[0]].size.file_name, {})
        questions.setdefault(row.text, Question(row.text, Counter(), row.type)).votes[row.answer] += 1
    return {
        split: {name: list(questions.values()) for name, questions in images.items()}
        for split, images in grouped.items()
    }


def choose_answers(questions: Iterable[Question], min_count: int) -> list[str]:
    """Return the answers that at least ``min_count`` questions have, the most frequent first."""
    counts = Counter(answer for question in questions for answer in question.votes)
    kept = [answer for answer in sorted(counts, key=lambda a: (-counts[a], a)) if counts[answer] >= min_count]
    if len(kept) < 2:
        left = count_of(len(kept), 'answer')
        raise UserError(f'the training pictures leave {left} for the list, and two are needed (see --min-count)')
    return kept


def score(question: Question, answer: str | None) -> float:
    """Return the soft score of an answer: its votes, of those of the most frequent one."""
    return question.votes[answer] / max(question.votes.values())


def baselines(train: Sequence[Question], held_out: Sequence[Question]) -> dict[str, tuple[str, float]]:
    """Return what is answered without a look at the picture, and its accuracy in percent, by name."""
    votes = Counter(answer for question in train for answer in question.votes.elements())
    by_question: dict[str, Counter] = defaultdict(Counter)
    for question in train:
        by_question[question.text.lower()].update(question.votes)
    majority = min(votes, key=lambda answer: (-votes[answer], answer))

    def same_question(question: Question) -> str:
        known = by_question.get(question.text.lower())
        return min(known, key=lambda answer: (-known[answer], answer)) if known else majority

    def accuracy(answers: Iterable[str]) -> float:
        return 100 * sum(score(q, answer) for q, answer in zip(held_out, answers)) / len(held_out)

    return {
        'most frequent answer': (majority, accuracy(majority for _ in held_out)),
        'most frequent answer to the same question': ('', accuracy(map(same_question, held_out))),
    }


def write_questions(
    out: Path, grouped: dict[str, dict[str, list[Question]]], sizes: dict[str, Size], answers: list[str]
) -> dict[str, str]:
    """Write ``train.json`` and so on, in the format of :class:`soho.datasets.vqa.VQADataset`; return their names."""
    labels = {answer: label for label, answer in enumerate(answers)}
    files = {split: f'{split}.json' for split in SPLITS if grouped[split]}
    number = 0
    for split, file in files.items():
        items = []
        for name, questions in grouped[split].items():
            vqa = []
            for question in questions:
                known = [answer for answer in question.votes if answer in labels]
                scores = [round(score(question, answer), 4) for answer in known]
                item = dict(
                    question=question.text,
                    question_id=number,
                    labels=[labels[answer] for answer in known],
                    scores=scores,
                )
                vqa.append(item if question.type is None else dict(item, question_type=question.type))
                number += 1
            size = sizes[name]
            items.append(dict(file_name=name, image_id=len(items), height=size.height, width=size.width, vqa=vqa))
        write_json(out / file, dict(data=items, ans2label=labels, label2ans=answers))
    return files
