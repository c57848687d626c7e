"""Models as files of torch.export and ONNX: they give what the model gives, at sizes that they were not made with."""

import json
import shutil

import numpy as np
import pytest
import torch
from torch import Tensor

import soho
from soho.__main__ import main
from soho.apis import export
from soho.apis.export import AnswerScores, ImageFeatures, Part, compare, export_model
from soho.apis.opening import OpenedModel
from soho.datasets.vqa import VQADataset
from soho.engine.checkpoint.inference_spec import InferenceSpec
from soho.errors import UserError
from soho.evaluation.features import center_crop_pipeline
from soho.paths import CONFIGS
from tests.documents import blocks, run_prompts

SHIPPED = 'soho_vqa_synthetic'
DOCUMENT = CONFIGS.parent / 'docs' / 'export.md'


@pytest.fixture(scope='module')
def vqa():
    return soho.VQA(SHIPPED, device='cpu')


@pytest.fixture
def captioner(make_virtex):
    """The CNN of a small VirTex that writes captions."""
    model = make_virtex('bicaptioning')
    config = dict(type='VirTex', backbone=dict(type='ResNet', depth=18, num_stages=2, out_indices=(1,)), heads={})
    state = {name: value for name, value in model.state_dict().items() if name.startswith('backbone')}
    return soho.FeatureExtractor(
        OpenedModel('captions.pth', state, InferenceSpec(config, center_crop_pipeline())), device='cpu'
    )


def test_scores_are_those_of_an_answer(vqa):
    """What is exported against :class:`soho.VQA` itself, with a second picture on the same canvas."""
    picture, question = np.asarray(soho.apis.images.Image.open(soho.sample_image())), 'What color is the circle?'
    sample = vqa.prepare(vqa.query(picture, [question]))
    batch = vqa.collate([sample, dict(sample, image=sample['image'][:50])])
    batch['image_size'][1, 0] = 50
    inputs = dict(batch, **{name: batch[name][:, 0] for name in ('input_ids', 'attention_mask')})
    scores = AnswerScores(vqa)(**{name: inputs[name] for name in AnswerScores.inputs})
    wanted = vqa.best(scores[0].numpy(), top_k=3)
    for found, answer in zip(vqa(picture, question, top_k=3), wanted, strict=True):
        assert found['answer'] == answer['answer'] and found['score'] == pytest.approx(answer['score'], abs=1e-5)


def test_vectors_are_those_of_the_extractor(captioner):
    """Means are over the picture and not over its canvas."""
    picture = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    canvas = torch.zeros(1, 3, 256, 288, dtype=torch.uint8)
    canvas[0, :, :224, :224] = torch.from_numpy(picture).permute(2, 0, 1)
    _, vector = ImageFeatures(captioner)(canvas, torch.tensor([[224, 224]]))
    alone = ImageFeatures(captioner)(canvas[:, :, :224, :224], torch.tensor([[224, 224]]))[1]
    own = captioner.forward([dict(image=picture, image_size=np.array([224, 224]))])['feature'].mean((2, 3))
    torch.testing.assert_close(alone, own)
    assert (vector - alone).abs().mean() < 0.1 * alone.abs().mean()  # cells at the edge see the canvas


@pytest.mark.parametrize('suffix', ['pt2', 'onnx'])
def test_the_cnn_of_virtex_leaves(captioner, suffix, tmp_path):
    made = export_model(captioner, tmp_path / f'cnn.{suffix}')
    assert made.part == 'cnn' and len(made.differences) == 3 and max(made.differences.values()) < 1e-5
    about = json.loads((tmp_path / 'cnn.json').read_text())
    assert about['inputs']['image'] == dict(dtype='uint8', shape=['batch', 3, 'height', 'width'])
    assert list(about['outputs']) == ['feature', 'vector'] and 'vocabulary' not in about
    assert about['pipeline'] == center_crop_pipeline()


def test_a_model_of_questions_leaves(vqa, tmp_path):
    made = export_model(vqa, tmp_path / 'vqa.pt2')
    assert made.part == 'vqa' and max(made.differences.values()) < 1e-5
    about = json.loads((tmp_path / 'vqa.json').read_text())
    assert about['class_names'] == vqa.spec.class_names and about['vocabulary']['wordpiece'].startswith('[PAD]\n')
    assert sorted(file.name for file in tmp_path.iterdir()) == ['vqa.json', 'vqa.pt2']


class Wrong(Part):
    """The mean grey level of each picture."""

    outputs = {'grey': ('float32', ('batch',))}

    def forward(self, image: Tensor, image_size: Tensor) -> Tensor:
        return image.float().mean((1, 2, 3))


@pytest.mark.parametrize(
    ('other', 'difference'), [(lambda x: x * 1.5, 0.5), (lambda x: x * np.nan, np.inf), (lambda x: x[:1, None], np.inf)]
)
def test_what_differs_is_found(vqa, other, difference):
    module = Wrong(vqa)
    found = dict(compare(module, lambda **inputs: [other(module(**inputs))]))
    assert found['3 x 192 x 128'] == pytest.approx(difference, rel=1e-3)


def test_what_differs_is_not_kept(vqa, tmp_path, monkeypatch):
    monkeypatch.setitem(export.PARTS, 'cnn', Wrong)
    monkeypatch.setattr(export, '_find_format', lambda path: (lambda module, file: file.touch(), lambda file: run))

    def run(image, image_size):
        return [image.float().mean((1, 2, 3)) * 1.01]

    with pytest.raises(
        UserError, match=r'cnn\.pt2 is not written: at the size .* by 1\.0e-02 of the largest, and 1e-04'
    ):
        export_model(vqa, tmp_path / 'cnn.pt2', 'cnn')
    assert not list(tmp_path.iterdir())
    assert export_model(vqa, tmp_path / 'cnn.pt2', 'cnn', bound=0.02).part == 'cnn'


def test_what_cannot_leave_is_one_sentence(vqa, captioner, tmp_path, monkeypatch):
    with pytest.raises(UserError, match='captions.pth answers no questions; its CNN can be exported: --part cnn'):
        export_model(captioner, tmp_path / 'a.pt2', 'vqa')
    with pytest.raises(UserError, match=r'a\.bin ends in neither \.onnx nor \.pt2'):
        export_model(vqa, tmp_path / 'a.bin')
    monkeypatch.setattr(export, 'PACKAGES', ('no_such_package',))
    with pytest.raises(UserError, match=r'ONNX needs no_such_package: pip install no_such_package'):
        export_model(vqa, tmp_path / 'a.onnx')
    monkeypatch.setitem(export.PARTS, 'cnn', Branching)
    with pytest.raises(UserError, match='cnn of soho_vqa_synthetic cannot be exported to a.pt2: '):
        export_model(vqa, tmp_path / 'a.pt2', 'cnn')
    assert not list(tmp_path.iterdir())


class Branching(Wrong):
    """What it does depends on the values of its input, of which a graph knows nothing."""

    def forward(self, image: Tensor, image_size: Tensor) -> Tensor:
        grey = super().forward(image, image_size)
        return grey if grey.sum() > 0 else -grey


def test_a_model_without_pictures_has_nothing_to_leave_with(soho_config, tmp_path):
    config = soho_config('vqa', backbone=None, neck=None)
    model = soho.registry.MODELS.build(config)
    tokens = dict(type='Tokenize', tokenizer=dict(max_length=8))
    spec = InferenceSpec(
        config,
        [dict(type='LoadImage'), tokens],
        VQADataset.__name__,
        class_names=[str(number) for number in range(10)],
        vocabulary=dict(wordpiece='\n'.join(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a'])),
    )
    blind = soho.VQA(OpenedModel('blind.pth', model.state_dict(), spec), device='cpu')
    with pytest.raises(UserError, match='blind.pth reads no pictures with a question'):
        export_model(blind, tmp_path / 'a.pt2')
    with pytest.raises(UserError, match='blind.pth has no CNN to export'):
        export_model(blind, tmp_path / 'a.pt2', 'cnn')


def test_the_how_to(vqa, tmp_path, monkeypatch, capsys):
    """docs/export.md as it stands; its answers are those of soho."""
    document = DOCUMENT.read_text()
    monkeypatch.chdir(tmp_path)
    picture = shutil.copy(soho.sample_image(), 'photo.jpg')
    (shell,) = blocks(document, 'bash')
    for line in shell.splitlines():
        if SHIPPED in line:
            main(line.split()[1:])
    assert 'vqa.pt2: vqa of soho_vqa_synthetic' in capsys.readouterr().out
    names = {}
    script, *sessions = blocks(document, 'python')
    exec(script, names)
    for session in sessions:
        run_prompts(session, 'export.md', names)
    for question in (
        'What color is the circle?',
        'Is there a star?',
        'How many shapes are there?',
        'À côté: unbelievable_',
    ):
        (best,) = vqa(picture, question, top_k=1)
        answer, score = names['ask'](picture, question)
        assert answer == best['answer'] and score == pytest.approx(best['score'], abs=0.02)
        tokens = vqa.prepare(vqa.query(picture, [question]))
        assert names['tokenize'](question) == tokens['input_ids'][0][tokens['attention_mask'][0] == 1].tolist()
