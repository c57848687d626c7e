"""docs/inference.md and the README, typed as they stand."""

import doctest
import shlex

import soho
from soho.__main__ import main
from soho.apis import commands
from soho.engine.checkpoint.inference_spec import InferenceSpec, save_weights
from soho.paths import CONFIGS
from soho.registry import INFERENCERS
from tests.documents import blocks, run_sessions

ROOT = CONFIGS.parent
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def test_the_how_to(tmp_path, monkeypatch, capsys):
    document = (ROOT / 'docs' / 'inference.md').read_text()
    monkeypatch.chdir(tmp_path)
    assert run_sessions(document, 'inference.md', options=OPTIONS) > 2
    assert (tmp_path / 'where.png').exists() and soho.load('all.safetensors').spec.class_names
    (shell,) = blocks(document, 'bash')
    loaded = {}
    original = commands.load_model

    def load_once(args, kind):
        return (
            loaded.setdefault((args.model, kind), None)
            or loaded.update({(args.model, kind): original(args, kind)})
            or loaded[args.model, kind]
        )

    monkeypatch.setattr(commands, 'load_model', load_once)
    monkeypatch.setattr('soho.platform.keep_freed_memory', lambda: True)  # settings of the whole process
    monkeypatch.setattr('soho.platform.use_onednn_products', lambda: True)
    for line in shell.splitlines():
        command, *argv = shlex.split(line)
        assert command == 'soho'
        main(argv)
    said = capsys.readouterr().out
    assert said.startswith('blue') and 'All that soho needs is here.' in said
    for name in ('answers.jsonl', 'captions.jsonl', 'features.npy', 'features.json'):
        assert (tmp_path / name).stat().st_size


def test_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_sessions((ROOT / 'README.md').read_text(), 'README.md', options=OPTIONS) > 2


def test_an_inferencer_of_another_task(tmp_path):
    """The class of the document, on a model that ships."""
    document = (ROOT / 'docs' / 'inference.md').read_text()
    (code,) = [block for block in blocks(document, 'python') if block.startswith('@INFERENCERS')]
    names = dict(soho=soho)
    exec('from soho.registry import INFERENCERS\nfrom soho.apis import Inferencer, Query\nimport numpy as np', names)
    try:
        exec(code, names)
        vqa = soho.VQA('soho_vqa_synthetic', device='cpu')
        spec = InferenceSpec(**dict(vars(vqa.full_spec), dataset='EntailmentDataset'))
        save_weights(tmp_path / 'a.safetensors', vqa.state, spec)
        asked = soho.load(tmp_path / 'a.safetensors', device='cpu')
        assert type(asked) is names['Entailment']
        assert 0 < asked(soho.sample_image(), 'There is a star.') < 1
    finally:
        INFERENCERS.module_dict.pop('Entailment', None)
