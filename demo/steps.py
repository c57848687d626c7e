"""Work of the demo's stages: prepare annotation files, train, evaluate."""

import gc
import importlib.util
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from soho.apis.sources import locate_checkpoint
from soho.datasets.batch import Batch
from soho.datasets.storage.json_files import write_json
from soho.engine import Runner, load_config
from soho.evaluation.evaluator import Metric, Prediction
from soho.registry import METRICS
from soho.visualization.training_curves import read_curves


def run_tool(tool: Path, arguments: Sequence[object]) -> Any:
    """Run a script of ``tools/`` as on the command line, but in this process, and return what its ``main`` does."""
    spec = importlib.util.spec_from_file_location(f'{tool.parent.name}_{tool.stem}', tool)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main([str(argument) for argument in arguments])


def train(
    config: Path, work_dir: Path, load_from: str | None, resumed: bool, options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Run the training of a config.

    Args:
        config: Path of the config.
        work_dir: Folder of logs and checkpoints; cleared unless ``resumed``.
        load_from: Checkpoint that replaces the config's ``load_from``, where it has one; a config without one
            trains from random weights.
        resumed: Whether to resume from the newest checkpoint in the work dir, if there is one.
        options: Values of the config that replace its own, by their dotted keys.

    Returns:
        ``checkpoint``, the path of the best on validation where the config keeps it, else of the last;
        ``load_from``, the checkpoint that initialized the model, or None;
        ``metrics``, the newest value of everything that was logged;
        ``held_out``, the names of those measured on validation data; ``seed`` and ``device``.
    """
    if not resumed:
        shutil.rmtree(work_dir, ignore_errors=True)
    cfg = load_config(os.fspath(config), options)
    cfg.work_dir = os.fspath(work_dir)
    cfg.resume = 'auto'
    cfg.load_from = load_from = load_from if cfg.get('load_from') else None
    runner = Runner.from_cfg(cfg)
    runner.train()
    device = describe_device(next(runner.model.parameters()).device)
    del runner
    gc.collect()  # ends the loaders' worker processes
    curves = read_curves(work_dir)
    return dict(
        checkpoint=locate_checkpoint(work_dir),
        load_from=load_from,
        metrics=curves.last(),
        held_out=sorted(curves.held_out),
        seed=cfg.randomness.seed,
        device=device,
    )


def evaluate(config: Path, checkpoint: str, work_dir: Path, answers: str, confidences: str) -> dict[str, float]:
    """Evaluate a checkpoint on the config's test data.

    Args:
        config: Path of the config; its test evaluator is one metric.
        checkpoint: Path of the checkpoint.
        work_dir: Folder of the log.
        answers: Path of the answers in the official submission format.
        confidences: Path of answer and confidence of each question, see :class:`AnswerConfidences`.

    Returns:
        The metrics of the test evaluator.
    """
    cfg = load_config(os.fspath(config))
    cfg.work_dir = os.fspath(work_dir)
    cfg.load_from, cfg.resume = checkpoint, False
    cfg.visualizer = dict(type='Visualizer')
    cfg.test_evaluator = [
        dict(cfg.test_evaluator, out_file=answers),
        dict(type='AnswerConfidences', out_file=confidences),
    ]
    metrics = Runner.from_cfg(cfg).test()
    gc.collect()
    return {name.rpartition('/')[2]: float(value) for name, value in metrics.items()}


@METRICS.register_module()
class AnswerConfidences(Metric):
    """File of ``{question_id: [answer, confidence]}``; computes no metric."""

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Keep ``question_id``, ``label`` and ``confidence``, each (R,)."""
        columns = (prediction[key].tolist() for key in ('question_id', 'label', 'confidence'))
        self.results += zip(*columns)

    def compute_metrics(self, results: Sequence[tuple[int, int, float]]) -> dict[str, float]:
        return {}

    def write(self, results: Sequence[tuple[int, int, float]], path: str) -> None:
        answers = self.dataset_meta['class_names']
        write_json(
            path,
            {str(question): [answers[label], round(confidence, 4)] for question, label, confidence in sorted(results)},
        )


def describe_device(device: torch.device) -> str:
    """Return the name of the GPU, or the name of the CPU and the number of threads."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    name = 'CPU'
    if os.path.exists('/proc/cpuinfo'):
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
        name = next((line.partition(':')[2].strip() for line in lines if line.startswith('model name')), name)
    threads = torch.get_num_threads()
    return f'{name}, {threads} thread{"s" if threads > 1 else ""}'
