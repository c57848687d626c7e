"""Where metrics go besides the log: what docs/train.md says about Weights & Biases and trackio."""

import ast
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from soho.engine import Runner
from soho.paths import CONFIGS
from tests.documents import blocks


@pytest.fixture
def wandb(monkeypatch):
    """A wandb that keeps what it is told; the real one starts a process and talks to a server."""
    module = ModuleType('wandb')
    module.told = SimpleNamespace(init=[], log=[], config=[], ended=0)
    module.init = lambda **arguments: module.told.init.append(arguments)
    module.log = lambda metrics, commit: module.told.log.append(metrics)
    module.config = SimpleNamespace(update=lambda config, **_: module.told.config.append(config))
    module.run = SimpleNamespace(log_code=lambda name: None)
    module.join = lambda: setattr(module.told, 'ended', module.told.ended + 1)
    monkeypatch.setitem(sys.modules, 'wandb', module)
    return module.told


def test_the_config_lines_send_metrics_to_wandb(tiny_config, wandb):
    (lines,) = blocks((CONFIGS.parent / 'docs' / 'train.md').read_text(), 'python')
    (assigned,) = ast.parse(lines).body
    names = {}
    exec(compile(ast.Module([assigned], []), 'train.md', 'exec'), names)
    cfg = tiny_config()
    cfg.visualizer = dict(names['visualizer'], type='Visualizer')
    Runner.from_cfg(cfg).train()
    assert [(run['project'], run['name']) for run in wandb.init] == [('soho', 'vqa')]
    assert any('loss' in metrics for metrics in wandb.log)
    assert wandb.config[0]['train_cfg']['max_epochs'] == 1 and wandb.ended
    # what trackio takes
    (events,) = Path(cfg.work_dir).glob('*/vis_data/events.out.tfevents*')
    read = EventAccumulator(str(events))
    read.Reload()
    assert 'loss' in read.Tags()['scalars']
