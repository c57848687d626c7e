"""The inferencer of a new task that docs/inference.md shows."""

import pytest

import soho
from soho.engine.checkpoint.inference_spec import InferenceSpec, save_weights
from soho.paths import CONFIGS
from soho.registry import INFERENCERS, METRICS, MODELS
from tests.documents import blocks

ROOT = CONFIGS.parent


@pytest.fixture
def registries(monkeypatch):
    """Nothing that the documents register stays registered."""
    for registry in (INFERENCERS, METRICS, MODELS):
        registry.import_from_location()
        monkeypatch.setattr(registry, '_module_dict', dict(registry.module_dict))


def test_an_inferencer_of_another_task(tmp_path, registries):
    """The class of docs/inference.md asks a model with the head of CONTRIBUTING.md."""
    (head,) = (
        code for code in blocks((ROOT / 'CONTRIBUTING.md').read_text(), 'python') if 'class EntailmentHead' in code
    )
    (inferencer,) = (
        code for code in blocks((ROOT / 'docs' / 'inference.md').read_text(), 'python') if '@INFERENCERS' in code
    )
    names: dict = {}
    exec(head, names)
    exec('from soho.registry import INFERENCERS\nfrom soho.apis import Inferencer, Query\nimport numpy as np', names)
    exec(inferencer, names)

    vqa = soho.VQA('soho_vqa_synthetic', device='cpu')
    model = dict(vqa.full_spec.model, heads=dict(entailment=dict(type='EntailmentHead')))
    weights = {name: value for name, value in vqa.state.items() if not name.startswith('heads.')}
    classifier = names['EntailmentHead'](hidden_size=model['language']['hidden_size']).state_dict()
    weights |= {f'heads.entailment.{name}': value for name, value in classifier.items()}
    spec = InferenceSpec(**dict(vars(vqa.full_spec), model=model, dataset='EntailmentDataset', class_names=[]))
    save_weights(tmp_path / 'a.safetensors', weights, spec)
    asked = soho.load(tmp_path / 'a.safetensors', device='cpu')
    assert type(asked) is names['Entailment']
    assert 0 < asked(soho.sample_image(), 'There is a star.') < 1
