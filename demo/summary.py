"""Summary of the demo: ``summary.json`` and the table that is printed at the end. Imports no torch."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ANSWER_TYPES = {'yes_no': 'yes/no', 'number': 'number', 'other': 'other'}
OBJECTIVES = {'mlm': 'masked words', 'mvm': 'masked visual words', 'itm': 'image-text matching'}
_PACKAGES = ('torch', 'torchvision', 'transformers', 'mmengine', 'mmcv-lite', 'numpy')


def summarize(
    results: dict[str, Any], seconds: dict[str, float], elapsed: float, commands: Sequence[str]
) -> dict[str, Any]:
    """Return the contents of ``summary.json``.

    Args:
        results: Results of the finished stages by name, at least up to the evaluation.
        seconds: Seconds of each stage by name.
        elapsed: Seconds of all, in which stages overlap.
        commands: Shell commands that do the same step by step.
    """
    pretrain, manifest = results['pretrain'], results['synthetic']
    metrics = results['evaluation']['metrics']
    report = results.get('report', {})
    return dict(
        vqa_accuracy=metrics['vqa']['accuracy'],
        vqa_accuracy_without_image=metrics['vqa_blind']['accuracy'],
        vqa_accuracy_most_frequent_answer=manifest['blind']['accuracy'],
        vqa_accuracy_per_answer_type=dict(
            with_image=_by_type(metrics['vqa']),
            without_image=_by_type(metrics['vqa_blind']),
            most_frequent_answer=results['evaluation']['most_frequent_answer'],
        ),
        pretrain=_pretraining_metrics(pretrain),
        dictionary=report.get('dictionary'),
        test=dict(questions=manifest['questions']['test2015'], pictures=manifest['images']['test2015']),
        seconds=dict(**seconds, total=elapsed),
        seed=pretrain['seed'],
        device=pretrain['device'],
        versions=results['evaluation']['versions'],
        git_commit=results['evaluation']['git_commit'],
        commands=list(commands),
    )


def most_frequent_answer(blind: dict[str, Any], annotations: Sequence[dict]) -> dict[str, float]:
    """Return the accuracy of the most-frequent-answer baseline by answer type, in percent.

    Args:
        blind: ``blind`` of ``synthetic.json``: accuracy and share of each kind of question.
        annotations: Annotations of the test questions; ``question_type`` is the kind.
    """
    type_of = {item['question_type']: item['answer_type'] for item in annotations}
    metrics = {}
    for key, name in ANSWER_TYPES.items():
        kinds = [part for kind, part in blind['kinds'].items() if type_of.get(kind) == name]
        if kinds:
            metrics[key] = round(
                sum(part['accuracy'] * part['share'] for part in kinds) / sum(part['share'] for part in kinds), 2
            )
    return metrics


def format_table(summary: dict[str, Any]) -> str:
    """Return the metrics as lines of text."""
    rows = [
        ('with the image', summary['vqa_accuracy'], 'with_image'),
        ('without the image', summary['vqa_accuracy_without_image'], 'without_image'),
        ('most frequent answer', summary['vqa_accuracy_most_frequent_answer'], 'most_frequent_answer'),
    ]
    head = ''.join(f'{name:>9}' for name in ('overall', *ANSWER_TYPES.values()))
    lines = [
        f'VQA accuracy in percent, {summary["test"]["questions"]} questions about '
        f'{summary["test"]["pictures"]} pictures not seen in training',
        f'{"":24}{head}',
    ]
    for label, overall, key in rows:
        by_type = summary['vqa_accuracy_per_answer_type'][key]
        cells = [f'{overall:.2f}', *(format_metric(by_type, kind, '.2f') for kind in ANSWER_TYPES)]
        lines.append(f'  {label:22}' + ''.join(f'{cell:>9}' for cell in cells))
    pretrain = summary['pretrain']
    lines += ['', f'Pretraining, on {pretrain["measured_on"]}', f'{"":24}{"loss":>9}{"percent":>10}']
    for key, label in OBJECTIVES.items():
        loss = format_metric(pretrain, f'loss_{key}', '.3f')
        accuracy = format_metric(pretrain, f'acc_{key}', '.2f')
        lines.append(f'  {label:22}{loss:>9}{accuracy:>10}')
    seconds = summary['seconds']
    lines += ['', 'Seconds: ' + ', '.join(f'{name} {value:.0f}' for name, value in seconds.items())]
    return '\n'.join(lines)


def format_metric(metrics: dict[str, Any], name: str, spec: str) -> str:
    """Return a metric as text; a dash where it was not measured."""
    return format(metrics[name], spec) if name in metrics else '–'


def environment(repository: Path) -> dict[str, Any]:
    """Return the ``versions`` of Python and the main packages, and the ``git_commit`` or None."""
    versions = dict(python=platform.python_version())
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return dict(versions=versions, git_commit=_git_commit(repository))


def read_annotations(path: str | os.PathLike) -> list[dict]:
    """Return the list ``annotations`` of a VQA annotations file."""
    return json.loads(Path(path).read_text(encoding='utf-8'))['annotations']


def _by_type(metrics: dict[str, float]) -> dict[str, float]:
    return {key: metrics[f'accuracy_{key}'] for key in ANSWER_TYPES if f'accuracy_{key}' in metrics}


def _pretraining_metrics(pretrain: dict[str, Any]) -> dict[str, Any]:
    """Return losses and accuracies by their short names, on held-out pictures where these were evaluated."""
    held_out = {name for name in pretrain['held_out'] if _short(name)}
    chosen = held_out or {name for name in pretrain['metrics'] if _short(name)}
    metrics = {_short(name): pretrain['metrics'][name] for name in sorted(chosen)}
    return dict(metrics, measured_on='held-out pictures' if held_out else 'the last training batches')


def _short(name: str) -> str | None:
    """Return ``loss_mlm`` for ``pretrain/loss_mlm``; None for other than a loss or accuracy of an objective."""
    short = name.rpartition('/')[2]
    known = {f'{kind}_{key}' for kind in ('loss', 'acc') for key in OBJECTIVES}
    return short if short in known else None


def _git_commit(repository: Path) -> str | None:
    try:
        found = subprocess.run(
            ['git', '-C', os.fspath(repository), 'rev-parse', 'HEAD'],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
