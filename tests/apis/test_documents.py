"""The inferencer of a new task that docs/inference.md shows."""

import soho
from soho.engine.checkpoint.inference_spec import InferenceSpec, save_weights
from soho.paths import CONFIGS
from soho.registry import INFERENCERS
from tests.documents import blocks


def test_an_inferencer_of_another_task(tmp_path):
    """The class of the document, on a model that ships."""
    document = (CONFIGS.parent / 'docs' / 'inference.md').read_text()
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
