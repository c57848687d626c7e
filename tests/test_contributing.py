"""CONTRIBUTING.md: the files that it names exist, and its example trains and evaluates as it stands there."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from soho.engine import Runner, config_checks, load_config
from soho.paths import CONFIGS
from soho.registry import DATASETS, METRICS, MODELS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / 'CONTRIBUTING.md').read_text()


def test_the_files_that_answer_exist():
    answers = TEXT.partition('## Where is')[2].partition('\n## ')[0]
    named = re.findall(r'`((?:soho|configs|tools)/[^`]*)`', answers)
    assert answers.count('?') >= 10 and len(named) >= 10
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The files of the example, beside the configs that it stands on; nothing stays registered."""
    shutil.copytree(CONFIGS / '_base_', tmp_path / 'configs' / '_base_')
    for name, code in re.findall(r'```python\n# (\S+)\n(.*?)```', TEXT, flags=re.DOTALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(config_checks, '_parts', config_checks._parts.__wrapped__)  # what other tests have found
    for registry in (DATASETS, METRICS, MODELS):
        registry.import_from_location()
        monkeypatch.setattr(registry, '_module_dict', dict(registry.module_dict))
    loaded = set(sys.modules)
    yield tmp_path
    for name in {file.stem for file in tmp_path.glob('*.py')} & (set(sys.modules) - loaded):
        del sys.modules[name]


def test_the_example_trains_and_evaluates(project, synthetic, monkeypatch):
    records = json.loads((synthetic / 'coco_cap_train_pre.json').read_text())[:8]
    for i, record in enumerate(records):
        record.update(sentence=records[i // 2 * 2]['captions'][0], label=(i + 1) % 2)
    (project / 'entailment.json').write_text(json.dumps(records))
    monkeypatch.setenv('SOHO_SYNTHETIC', str(synthetic))
    cfg = load_config(str(project / 'configs' / 'Entailment' / 'soho_patches.py'))
    cfg.work_dir = str(project / 'work')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.ann_file = str(project / 'entailment.json')
    runner = Runner.from_cfg(cfg)
    before = runner.model.backbone.project.weight.clone()
    runner.train()
    assert runner.iter == 2
    assert not (runner.model.backbone.project.weight == before).all()
    assert runner.test()['accuracy'] in {100 * right / 8 for right in range(9)}
