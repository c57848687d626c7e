"""The answer list of VQA: answers in the order of their labels, from either of its two forms or from both."""

from collections import Counter
from typing import Any

from soho.datasets.records import Answer, Integer
from soho.datasets.storage.json_records import to_record
from soho.errors import UserError, quote
from soho.files import PathLike, read_lines


def answer_text(answer: Answer) -> str:
    """Return an answer as text; a number as JSON writes it."""
    return answer if isinstance(answer, str) else str(answer)


def read_label2ans(value: Any, where: str) -> list[str]:
    """Return the answers of a ``label2ans``: a list, or as in some releases an object ``{"0": "net", ...}``.

    Raises:
        UserError: It is neither, its labels are not 0 to n - 1, or an answer is repeated.
    """
    if isinstance(value, dict):
        given = to_record(value, dict[str, Answer], where)
        labels = {str(number): None for number in range(len(given))}
        if odd := [label for label in given if label not in labels]:
            raise UserError(
                f'{where} has the label {quote(odd[0])}, but its labels should go from 0 to {len(given) - 1}'
            )
        answers = [answer_text(given[label]) for label in labels]
    else:
        answers = list(map(answer_text, to_record(value, list[Answer], where)))
    return _check_distinct(answers, where)


def read_answer_lines(path: PathLike) -> list[str]:
    """Return the answers of a text file with one a line; blank lines at its end are none.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: An answer is repeated.
    """
    lines = read_lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    return _check_distinct(lines, f'{path}')


def read_ans2label(value: Any, where: str) -> list[str]:
    """Return the answers of an ``ans2label``, an object ``{"net": 0, ...}``.

    Raises:
        UserError: It is something else, or its labels are not 0 to n - 1.
    """
    given = to_record(value, dict[str, Integer], where)
    by_label: dict[int, str] = {}
    for answer, label in given.items():
        if not 0 <= label < len(given):
            raise UserError(
                f'Label {label} of {quote(answer)} in {where} is outside of '
                f'the answer list, whose labels go from 0 to {len(given) - 1}.'
            )
        by_label[label] = answer
    if len(by_label) < len(given):
        raise UserError(
            f'{where} gives the same label to several answers: {len(given)} answers, {len(by_label)} labels.'
        )
    return [by_label[label] for label in range(len(given))]


def check_agreement(label2ans: list[str], ans2label: list[str], where: str) -> None:
    """Check that two forms of an answer list agree, both given as answers in the order of their labels.

    Raises:
        UserError: They differ.
    """
    if len(label2ans) != len(ans2label):
        raise UserError(
            f"{where}: 'label2ans' has {len(label2ans)} answers and 'ans2label' {len(ans2label)}; "
            'they should be the same list'
        )
    for label, (one, other) in enumerate(zip(label2ans, ans2label)):
        if one != other:
            raise UserError(
                f"{where}: label {label} is {quote(one)} in 'label2ans' and {quote(other)} in 'ans2label'; "
                'they should be the same list'
            )


def _check_distinct(answers: list[str], where: str) -> list[str]:
    repeated = [answer for answer, count in Counter(answers).items() if count > 1]
    if repeated:
        raise UserError(f'{where} holds the answer {quote(repeated[0])} twice ({len(repeated)} such).')
    return answers
