"""The stages of ``make demo``: what each depends on and what it makes."""

import ast
import functools
import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

from demo.progress import Outcome, Stage, StageCache
from demo.summary import environment, most_frequent_answer, read_annotations
from soho.errors import UserError

STATE = 'state.json'
ANNOTATIONS = (
    'objects_train2014.json',
    'objects_val2014.json',
    'coco_cap_train_pre.json',
    'coco_cap_val_pre.json',
    'vg_cap_pre.json',
    'train_data_vqa.json',
    'val_data_vqa.json',
    'test_data_vqa.json',
)
TOOLS = ('objects', 'vqa', 'pretrain')
TRAINED = {
    'cnn': 'The CNN learns to name single objects',
    'pretrain': 'Pretraining on captions',
    'vqa': 'Fine-tuning on questions',
    'vqa_blind': 'The same model without the image',
}
# Whose checkpoint a training starts from, where its config starts from one.
STARTS = {'pretrain': 'cnn', 'vqa': 'pretrain', 'vqa_blind': 'pretrain'}


class Places(NamedTuple):
    """Where the demo reads and writes."""

    configs: Path
    """``cnn.py``, ``pretrain.py``, ``vqa.py``, ``vqa_blind.py``."""
    tools: Path
    synthetic: Path
    size: str
    work_dir: Path


def demo_stages(places: Places) -> list[Stage]:
    """All stages in their order."""
    configs = {name: places.configs / f'{name}.py' for name in TRAINED}
    return [
        Stage(
            'synthetic',
            f'Generating the data set of size {places.size!r}',
            functools.partial(_synthetic, places),
            settings=dict(size=places.size),
        ),
        Stage(
            'annotations', 'Writing the annotation files', functools.partial(_annotations, places), after=('synthetic',)
        ),
        *(
            Stage(
                name,
                title,
                functools.partial(_train, places, name),
                settings=config_source(configs[name]),
                after=('synthetic', 'annotations') + ((STARTS[name],) if name in STARTS else ()),
            )
            for name, title in TRAINED.items()
        ),
        Stage(
            'evaluation',
            'Answering the questions about the test pictures',
            functools.partial(_evaluate, places),
            after=('vqa', 'vqa_blind'),
        ),
        Stage(
            'report',
            'Writing the report',
            functools.partial(_report, places),
            settings=_report_sources(),
            after=(*TRAINED, 'evaluation'),
        ),
    ]


def commands(places: Places, results: dict[str, Any]) -> list[str]:
    """What does the same by hand; ``results`` are those of the stages."""
    synthetic, configs = os.path.relpath(places.synthetic), os.path.relpath(places.configs)
    lines = [
        f'python tools/prepare/synthetic.py --size {places.size} --out {synthetic}',
        *(f'python tools/prepare/{tool}.py --root {synthetic}' for tool in TOOLS),
        f'export SOHO_SYNTHETIC={synthetic}',
    ]
    for name in TRAINED:
        start = results[name]['start']
        out = os.path.relpath(places.work_dir / name)
        lines.append(
            f'python tools/train.py {configs}/{name}.py --work-dir {out}'
            + (f' --cfg-options load_from={start}' if start else '')
        )
    for name, answers in results['evaluation']['answers'].items():
        checkpoint = results[name]['checkpoint']
        lines.append(f'python tools/test.py {configs}/{name}.py {checkpoint} --out {answers}')
    return lines


def config_source(path: Path) -> list[str]:
    """A text config and its bases, without comments and docstrings: two equal ones mean the same run.

    Raises:
        FileNotFoundError: No such config.
        ValueError: It is not Python.
    """
    try:
        tree = ast.parse(path.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise FileNotFoundError(f'there is no config {path}') from error
    except SyntaxError as error:
        raise UserError(f'{path} is not a Python config: {error}') from error
    if ast.get_docstring(tree) is not None:
        del tree.body[0]
    bases: str | list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == '_base_':
            bases = ast.literal_eval(node.value)
    sources = [ast.unparse(tree)]
    for base in [bases] if isinstance(bases, str) else bases:
        sources += config_source(path.parent / base)
    return sources


def _report_sources() -> str:
    """Digest of the code that makes the report, so that a change of it shows."""
    here = Path(__file__).parent
    files = [*sorted(here.glob('*.py')), *sorted((here.parent / 'visualization').glob('*.[pc]*'))]
    return hashlib.sha256(b''.join(path.read_bytes() for path in files if path.is_file())).hexdigest()


# The bodies import torch, which takes seconds, only when there is something to do.


def _synthetic(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    from soho.datasets.synthetic import generate_synthetic

    manifest = generate_synthetic(places.synthetic, places.size, progress=True)
    return Outcome([places.synthetic / 'synthetic.json'], manifest)


def _annotations(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    from demo.steps import prepare

    for tool in TOOLS:
        prepare(places.tools / 'prepare' / f'{tool}.py', places.synthetic)
    return Outcome([places.synthetic / name for name in ANNOTATIONS])


def _train(places: Places, name: str, results: dict[str, Any], resumed: bool) -> Outcome:
    from demo.steps import train

    # The configs name the data set by this variable.
    os.environ['SOHO_SYNTHETIC'] = os.fspath(places.synthetic)
    start = results[STARTS[name]]['checkpoint'] if name in STARTS else None
    trained = train(places.configs / f'{name}.py', places.work_dir / name, start, resumed)
    return Outcome([trained['checkpoint']], trained)


def _evaluate(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    from demo.steps import evaluate

    os.environ['SOHO_SYNTHETIC'] = os.fspath(places.synthetic)
    folder = places.work_dir / 'evaluation'
    metrics, answers, confidences = {}, {}, {}
    for name, method in (('vqa', 'soho'), ('vqa_blind', 'soho-blind')):
        answers[name] = os.fspath(folder / f'v2_OpenEnded_mscoco_test2015_{method}_results.json')
        confidences[name] = os.fspath(folder / f'{name}_confidences.json')
        metrics[name] = evaluate(
            places.configs / f'{name}.py', results[name]['checkpoint'], folder, answers[name], confidences[name]
        )
    annotations = read_annotations(places.synthetic / 'v2_mscoco_test2015_annotations.json')
    frequent = most_frequent_answer(results['synthetic']['blind'], annotations)
    result = dict(
        metrics=metrics,
        most_frequent_answer=frequent,
        answers=answers,
        confidences=confidences,
        **environment(places.tools.parent),
    )
    return Outcome([*answers.values(), *confidences.values()], result)


def _report(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    from demo.report import write_report

    os.environ['SOHO_SYNTHETIC'] = os.fspath(places.synthetic)
    page = places.work_dir / 'report.html'
    seconds = StageCache(places.work_dir / STATE).seconds()
    result = write_report(page, places.configs, places.work_dir, results, seconds, commands(places, results))
    return Outcome([page], result)
