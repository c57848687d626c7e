"""Scores of NLVR2, NLVR and GQA by their official scripts.

A file holds predictions and what a script made of them; the annotations of NLVR2 and NLVR are in the folders that are
named, or looked up near it.
"""

import gzip
import json
import os
from collections.abc import Iterator
from typing import Any

from soho.datasets.nlvr import ORDERS
from soho.datasets.nlvr2 import parse_identifier
from soho.evaluation.gqa import Choices, parse_question, score_gqa
from soho.evaluation.statements import read_categories, score_categories, score_statements
from tests.parity.fixture import Fixture, find_near

SHARE = 1e-12
PERCENT = 1e-9
NLVR2_FOLDER, NLVR_FOLDER = 'refs/nlvr2', 'nlvr'
CATEGORIES = 'nlvr2_annotated_dev_examples.txt.gz'
# Of the official GQA script: its name, and ours.
GQA_PARTS = {
    'accuracyPerStructuralType': 'per_structural_type',
    'accuracyPerSemanticType': 'per_semantic_type',
    'accuracyPerLength': 'per_length',
    'accuracyPerSteps': 'per_steps',
}


def _first_predictions(fixture: Fixture) -> Any:
    """The predictions of the first case, however the fixture has flattened the cases; ``None`` if there are none."""
    for name, value in fixture.values.items():
        if name.startswith('cases/') and name.endswith('predictions'):
            return value[0] if name == 'cases/predictions' else value
    return None


def has_nlvr2(fixture: Fixture) -> bool:
    """Whether the predictions of a case are one text with a letter an example."""
    return isinstance(_first_predictions(fixture), str)


def has_nlvr(fixture: Fixture) -> bool:
    """Whether the predictions of a case are texts with a letter an image."""
    predictions = _first_predictions(fixture)
    return isinstance(predictions, list) and bool(predictions) and isinstance(predictions[0], str)


def has_gqa(fixture: Fixture) -> bool:
    """Whether there are questions with ids, predictions for them, and cases."""
    return 'predictions/questionId' in fixture and any(name.startswith('cases/') for name in fixture.values)


def _take(fixture: Fixture) -> dict[str, Any]:
    """The file as it is nested; what it tells about itself is a remark, and all else is compared by the caller."""
    with open(fixture.path, encoding='utf-8') as file:
        content = json.load(file)
    for name in fixture.names():
        if name.split('/')[0] in ('cases', 'questions', 'choices', 'predictions'):
            fixture[name]
        else:
            fixture.remark(name)
    return content


def _cases(content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, case in enumerate(content['cases']):
        yield '/'.join(str(part) for part in (number, case.get('split'), case.get('name')) if part is not None), case


def _read_lines(path: str) -> list[dict[str, Any]]:
    with (gzip.open if path.endswith('.gz') else open)(path, 'rt', encoding='utf-8') as file:
        return [json.loads(line) for line in file if line.strip()]


def _near(fixture: Fixture, name: str, rows: list[str]) -> str | None:
    """Path of an official file, packed or not; where there is none the rows fail."""
    own = os.path.basename(name)
    names = {own: None, own.removesuffix('.gz'): None, own.removeprefix('nlvr2_').removesuffix('.gz'): None}
    places = [os.path.join(folder, each) for folder in fixture.annotations for each in (name, *names)]
    path = next(filter(os.path.isfile, places), None) or find_near(fixture.path, name)
    if path is None:
        fixture.fail(rows, f'needs {name} in a folder above it, or in data there, or {own} in one of --annotations')
    return path


def _check_known(fixture: Fixture, name: str, case: dict[str, Any], known: set[str]) -> None:
    fixture.fail([f'{name}/{key}' for key in case.keys() - known - {'split', 'name', 'predictions'}], 'not checked')


def check_nlvr2(fixture: Fixture) -> None:
    """``nlvr2_official.json``."""
    for name, case in _cases(_take(fixture)):
        figures = [key for key in case if key not in ('split', 'name', 'predictions')]
        path = _near(fixture, f'{NLVR2_FOLDER}/{case["split"]}.json.gz', [f'{name}/{key}' for key in figures])
        if path is None:
            continue
        examples = _read_lines(path)
        if len(examples) != len(case['predictions']):
            fixture.fail([name], f'{len(case["predictions"])} predictions for {len(examples)} examples')
            continue
        correct = [
            letter == example['label'][0].upper() for letter, example in zip(case['predictions'], examples, strict=True)
        ]
        groups = [parse_identifier(example['identifier'], path).group for example in examples]
        scores = score_statements(correct, groups)
        fixture.check(f'{name}/accuracy', scores.accuracy, SHARE, recorded=case['accuracy'])
        fixture.check(f'{name}/consistency', scores.consistency, SHARE, recorded=case['consistency'])
        if 'balanced_dev_accuracy_percent' in case:
            row = f'{name}/balanced_dev_accuracy_percent'
            if subset := _near(fixture, f'{NLVR2_FOLDER}/balanced_{case["split"]}.json.gz', [row]):
                right = dict(zip((example['identifier'] for example in examples), correct))
                members = [right[example['identifier']] for example in _read_lines(subset)]
                recorded = case['balanced_dev_accuracy_percent']
                fixture.check(row, 100 * sum(members) / len(members), PERCENT, recorded=recorded)
        if 'category_accuracy_percent' in case:
            _check_categories(fixture, name, case['category_accuracy_percent'], examples, correct)
        known = {'accuracy', 'consistency', 'balanced_dev_accuracy_percent', 'category_accuracy_percent'}
        _check_known(fixture, name, case, known)


def _check_categories(
    fixture: Fixture, name: str, recorded: dict[str, list], examples: list[dict[str, Any]], correct: list[bool]
) -> None:
    path = _near(fixture, CATEGORIES, [f'{name}/{category}' for category in recorded])
    if path is None:
        return
    scores = score_categories(correct, [example['sentence'] for example in examples], read_categories(path))
    fixture.check(f'{name}/categories', sorted(scores), recorded=sorted(recorded))
    for category, value in recorded.items():
        share, count = scores.get(category, (float('nan'), 0))
        fixture.check(f'{name}/{category}', [float(f'{100 * share:.2f}'), count], recorded=value)


def check_nlvr(fixture: Fixture) -> None:
    """``nlvr_official.json``."""
    for name, case in _cases(_take(fixture)):
        rows = [f'{name}/{key}' for key in ('accuracy', 'consistency')]
        path = _near(fixture, f'{NLVR_FOLDER}/{case["split"]}.jsonl', rows)
        if path is None:
            continue
        examples = _read_lines(path)
        letters = [letter for of_example in case['predictions'] for letter in of_example]
        if len(letters) != ORDERS * len(examples):
            fixture.fail([name], f'{len(letters)} predictions for {len(examples)} examples of {ORDERS} images')
            continue
        labels = [example['label'][0].upper() for example in examples for _ in range(ORDERS)]
        groups = [example['identifier'].split('-')[0] for example in examples for _ in range(ORDERS)]
        scores = score_statements([a == b for a, b in zip(letters, labels, strict=True)], groups)
        fixture.check(rows[0], scores.accuracy, SHARE, recorded=case['accuracy'])
        fixture.check(rows[1], scores.consistency, SHARE, recorded=case['consistency'])
        _check_known(fixture, name, case, {'accuracy', 'consistency'})


def check_gqa(fixture: Fixture) -> None:
    """``gqa_official.json``."""
    content = _take(fixture)
    questions = {name: parse_question(record, name) for name, record in content['questions'].items()}
    choices = {name: Choices(record['valid'], record['plausible']) for name, record in content['choices'].items()}
    predictions = {item['questionId']: item['prediction'] for item in content['predictions']}
    for name, case in _cases(content):
        ours = score_gqa(predictions, questions, choices if case['choices'] else None)._asdict()
        for script in sorted(case.keys() - {'name', 'choices', 'consistency'}):
            for key, recorded in case[script].items():
                row = f'{name}/{script}/{key}'
                if key in GQA_PARTS:
                    part = {str(kind): list(value) for kind, value in ours[GQA_PARTS[key]].items()}
                    fixture.check(row, sorted(part), recorded=sorted(recorded))
                    for kind, value in recorded.items():
                        fixture.check(f'{row}/{kind}', part.get(kind, []), PERCENT, recorded=value)
                elif key in ours:
                    # What the official script was not asked for, it gives as 0.
                    value = ours[key] if key != 'consistency' or case['consistency'] else None
                    fixture.check(row, value or 0.0, PERCENT, recorded=recorded)
                else:
                    fixture.fail([row], 'not checked')


# Title, whether a fixture is of the kind, and what compares it.
KINDS = (
    ('NLVR2 scores', has_nlvr2, check_nlvr2),
    ('NLVR scores', has_nlvr, check_nlvr),
    ('GQA scores', has_gqa, check_gqa),
)
