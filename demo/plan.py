"""Stages of the demo: inputs and outputs of each."""

import ast
import functools
import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import soho
from demo.progress import Outcome, Stage, StageCache
from demo.summary import environment, most_frequent_answer, read_annotations
from soho.errors import UserError
from soho.paths import RESOURCES

STATE = 'state.json'  # in the work dir
ANNOTATIONS = (
    'coco_cap_train_pre.json',
    'coco_cap_val_pre.json',
    'vg_cap_pre.json',
    'train_data_vqa.json',
    'val_data_vqa.json',
    'test_data_vqa.json',
)
TOOLS = ('vqa', 'pretrain')
TRAINED = {
    'pretrain': 'Pretraining on captions, from the weights that ship',
    'vqa': 'Fine-tuning on questions',
    'vqa_blind': 'The same model without the image',
}
INITIALIZED_BY = {'vqa': 'pretrain'}  # stage whose checkpoint initializes a training
SHIPPED = RESOURCES / 'runs' / 'soho_synthetic' / 'model.safetensors'
"""What the longer recipe has pretrained, with which the pretraining begins."""


class Places(NamedTuple):
    """Folders that the demo reads and writes, and the size of its data set."""

    configs: Path
    """Folder of ``pretrain.py``, ``vqa.py`` and ``vqa_blind.py``."""
    tools: Path
    """Folder ``tools`` of the repository."""
    data_dir: Path
    """Folder of the synthetic data set."""
    size: str
    """A key of :data:`soho.datasets.synthetic.SIZES`."""
    work_dir: Path
    """Folder of checkpoints, logs and the report."""


def demo_stages(places: Places) -> list[Stage]:
    """Return the stages in their order."""
    configs = {name: places.configs / f'{name}.py' for name in TRAINED}
    return [
        Stage(
            'synthetic',
            f'Generating the data set of size {places.size!r}',
            functools.partial(_generate, places),
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
                after=('synthetic', 'annotations') + ((INITIALIZED_BY[name],) if name in INITIALIZED_BY else ()),
                own_process=True,
            )
            for name, title in TRAINED.items()
        ),
        Stage(
            'evaluation',
            'Answering the questions about the test pictures',
            functools.partial(_evaluate, places),
            after=('vqa', 'vqa_blind'),
            own_process=True,
        ),
        Stage(
            'report',
            'Writing the report',
            functools.partial(_report, places),
            settings=_report_sources(),
            after=(*TRAINED, 'evaluation'),
        ),
    ]


def share_of_demo(size: str) -> float:
    """Return how many pictures a data set has for one of the size ``demo``; 0 for an unknown size."""
    from soho.datasets.synthetic import SIZES

    return sum(vars(SIZES[size]).values()) / sum(vars(SIZES['demo']).values()) if size in SIZES else 0.0


def commands(places: Places, results: dict[str, Any]) -> list[str]:
    """Return the shell commands, for the current folder, that do the same step by step.

    Args:
        places: Folders of the demo.
        results: Results of the stages by name, at least up to the evaluation.
    """
    data_dir, configs, tools = map(os.path.relpath, (places.data_dir, places.configs, places.tools))
    lines = [
        f'python {tools}/prepare/synthetic.py --size {places.size} --out {data_dir}',
        *(f'python {tools}/prepare/{tool}.py --root {data_dir}' for tool in TOOLS),
        f'export SOHO_SYNTHETIC={data_dir}',
    ]
    for name in TRAINED:
        load_from = results[name]['load_from']
        out = os.path.relpath(places.work_dir / name)
        lines.append(
            f'python {tools}/train.py {configs}/{name}.py --work-dir {out}'
            + (f' --cfg-options load_from={load_from}' if load_from else '')
        )
    for name, answers in results['evaluation']['answers'].items():
        checkpoint = results[name]['checkpoint']
        lines.append(f'python {tools}/test.py {configs}/{name}.py {checkpoint} --out {answers}')
    return lines


def config_source(path: Path) -> list[str]:
    """Return the source of a config and its bases without comments and docstrings; equal sources mean the same run.

    Raises:
        FileNotFoundError: There is no such config.
        ValueError: The config is not Python.
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
    """Return a digest of the code that writes the report, so that a change of it writes the report anew."""
    folders = Path(__file__).parent, Path(soho.__file__).with_name('visualization')
    files = [path for folder in folders for path in sorted([*folder.glob('*.py'), *folder.glob('*.css')])]
    files.append(Path(soho.__file__).with_name('evaluation') / 'answer_examples.py')
    return hashlib.sha256(b''.join(path.read_bytes() for path in files)).hexdigest()


# These functions import torch, which takes seconds, only when a stage runs.


def _generate(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    from soho.datasets.synthetic import generate_synthetic

    manifest = generate_synthetic(places.data_dir, places.size, progress=True)
    return Outcome([places.data_dir / 'synthetic.json'], manifest)


def _annotations(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    from demo.steps import run_tool

    for tool in TOOLS:
        run_tool(places.tools / 'prepare' / f'{tool}.py', ['--root', places.data_dir])
    return Outcome([places.data_dir / name for name in ANNOTATIONS])


def _train(places: Places, name: str, results: dict[str, Any], resumed: bool) -> Outcome:
    from demo.steps import train

    # The configs name the data set by this variable.
    os.environ['SOHO_SYNTHETIC'] = os.fspath(places.data_dir)
    start = os.fspath(SHIPPED) if name == 'pretrain' else None
    checkpoint = results[INITIALIZED_BY[name]]['checkpoint'] if name in INITIALIZED_BY else start
    trained = train(places.configs / f'{name}.py', places.work_dir / name, checkpoint, resumed)
    return Outcome([trained['checkpoint']], trained)


def _evaluate(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    from demo.steps import evaluate

    os.environ['SOHO_SYNTHETIC'] = os.fspath(places.data_dir)
    folder = places.work_dir / 'evaluation'
    metrics, answers, confidences = {}, {}, {}
    for name, method in (('vqa', 'soho'), ('vqa_blind', 'soho-blind')):
        answers[name] = os.fspath(folder / f'v2_OpenEnded_mscoco_test2015_{method}_results.json')
        confidences[name] = os.fspath(folder / f'{name}_confidences.json')
        metrics[name] = evaluate(
            places.configs / f'{name}.py', results[name]['checkpoint'], folder, answers[name], confidences[name]
        )
    annotations = read_annotations(places.data_dir / 'v2_mscoco_test2015_annotations.json')
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

    os.environ['SOHO_SYNTHETIC'] = os.fspath(places.data_dir)
    page = places.work_dir / 'report.html'
    cache = StageCache(places.work_dir / STATE)
    times = cache.seconds(), cache.elapsed()
    result = write_report(page, places.configs, places.work_dir, results, *times, commands(places, results))
    return Outcome([page], result)
