"""docs/own_data.md as it stands, on a dozen pictures, with random weights in place of the pretrained parts."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from soho.apis.own_data.captions import fit_vocabulary
from soho.models.language.cross_modal_bert import CrossModalBert
from soho.registry import MODELS
from tests.documents import blocks, type_shell

ROOT = Path(__file__).resolve().parents[2]
COLORS = {'red': (220, 30, 30), 'green': (30, 200, 30), 'blue': (30, 30, 220)}
SHORT = (
    '--cfg-options train_cfg.max_epochs=1 default_hooks.checkpoint.save_optimizer=False '
    'train_dataloader.num_workers=0 val_dataloader.num_workers=0'
)
PAGE = (ROOT / 'docs' / 'own_data.md').read_text()
TYPED = blocks(PAGE, 'bash')
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folder(tmp_path_factory, synthetic):
    """Pictures, the three tables, and files of the pretrained parts' form."""
    timm = pytest.importorskip('timm')
    tmp_path = tmp_path_factory.mktemp('own')
    (tmp_path / 'tools').symlink_to(ROOT / 'tools')
    (tmp_path / 'PICTURES').mkdir()
    questions, captions, pairs = ['image,question,answer'], ['image,caption'], ['left,right,statement,label']
    for i in range(12):
        name, color = f'kitchen_{i + 1:02}', list(COLORS)[i % 3]
        pixels = np.full((96, 128, 3), COLORS[color], np.uint8)
        pixels[:16, :16] = 20 * i  # no two are copies, which would be held out together
        Image.fromarray(pixels).save(tmp_path / 'PICTURES' / f'{name}.jpg')
        questions += [f'{name}.jpg,What colour is it?,{color}', f'{name},Is it red?,{"yes" if i % 3 == 0 else "no"}']
        captions += [f'{name},a picture that is {color} all over']
        if i % 2:
            pairs += [
                f'kitchen_{i:02},{name},The right one is {color}.,true',
                f'kitchen_{i:02},{name},Both are red.,no',
            ]
    (tmp_path / 'questions.csv').write_text('\n'.join(questions))
    (tmp_path / 'captions.csv').write_text('\n'.join(captions))
    (tmp_path / 'pairs.csv').write_text('\n'.join(pairs))
    pretrained = tmp_path / 'data' / 'pretrained'
    (pretrained / 'minilm').mkdir(parents=True)
    save_file(timm.create_model('tf_efficientnet_lite0').state_dict(), pretrained / 'efficientnet_lite0.safetensors')
    vocabulary = (synthetic / 'vocab.txt').read_text().splitlines()
    padding = [f'[unused{i}]' for i in range(30522 - len(vocabulary))]
    (pretrained / 'minilm' / 'vocab.txt').write_text('\n'.join([*vocabulary, *padding]) + '\n')
    bert = CrossModalBert(
        vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    bert.init_weights()
    state = {name.removeprefix('bert.'): value.contiguous() for name, value in bert.state_dict().items()}
    save_file(state, pretrained / 'minilm' / 'model.safetensors')
    return tmp_path


@pytest.fixture
def run_block(folder, commands, monkeypatch):
    """Type the lines of a block in ``folder``, training for an epoch; return what they print."""
    monkeypatch.setenv('SOHO_PRETRAINED', 'data/pretrained')

    def run(block):
        said = type_shell(re.sub(r'(tools/train\.py .*)', rf'\1 {SHORT}', block), folder, commands)
        assert said.returncode == 0, f'{block}\n{said.stdout[-5000:]}'
        return said.stdout

    return run


def test_the_how_to_of_questions(folder, run_block):
    assert blocks((ROOT / 'docs' / 'how_to.md').read_text(), 'bash')[0] == TYPED[1]  # the first of all, and typed here
    assert TYPED[0].splitlines()[-1] == 'python tools/prepare/pretrained.py'  # needs the package index
    said = run_block(TYPED[1])
    assert 'accuracy_majority' in said and 'baseline on val' in said
    assert said.splitlines()[-1].split()[0] in ('yes', 'no', *COLORS)  # the answers, each with its score
    run_block(TYPED[2])
    assert 'Begins with: ' in (page := (folder / 'report.html').read_text())
    assert page.count('<dt>Right</dt>') == page.count('✓ right') + page.count('✗ wrong') > 0


def test_the_how_to_of_captions(run_block):
    said = run_block(TYPED[3])
    assert 'CIDEr' in said and 'cider_constant' in said and 'kitchen_01.jpg' in said[-3000:]


def test_the_how_to_of_pairs(folder, run_block, monkeypatch):
    said = run_block(TYPED[4])
    assert 'accuracy_majority' in said and 'Consistency' in (folder / 'pairs.html').read_text()
    monkeypatch.chdir(folder)
    names: dict = {}
    (code,) = blocks(PAGE, 'python')
    exec(code.replace('epoch_10', 'epoch_1'), names)  # trained for one epoch
    assert {answer['answer'] for answer in names['answers']} == {'True', 'False'}


def test_vocabulary_is_as_large_as_the_captions_allow(tmp_path):
    captions = ['a red shape on the left of a blue one', 'two green shapes', 'nothing but a ring'] * 3
    size = fit_vocabulary(captions, tmp_path / 'a.model', 1000)
    assert 30 < size < 1000 and (tmp_path / 'a.model').exists()
    with pytest.raises(ValueError):
        fit_vocabulary(['a'], tmp_path / 'b.model', 1000)


def test_converted_cnn_fills_the_backbone(tmp_path, load_tool):
    timm = pytest.importorskip('timm')
    tool = load_tool('prepare/pretrained')
    whole = timm.create_model('tf_efficientnet_lite0')
    foreign = {f'_{number}.{name}': value for number, (name, value) in enumerate(whole.state_dict().items())}
    torch.save(foreign, tmp_path / 'foreign.pth')
    tool.convert_efficientnet(tmp_path / 'foreign.pth', tmp_path / 'cnn.safetensors')
    for options in (
        dict(checkpoint_path=str(tmp_path / 'cnn.safetensors')),
        dict(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'cnn.safetensors'))),
    ):
        backbone = MODELS.build(dict(type='TimmBackbone', model_name='tf_efficientnet_lite0', **options))
        backbone.init_weights()
        state = backbone.state_dict()
        assert all(value.equal(whole.state_dict()[name.removeprefix('model.')]) for name, value in state.items())


@pytest.mark.parametrize('name', ['resnet10t', 'convnext_atto', 'mobilenetv3_small_050'])
def test_weights_of_a_whole_timm_model_fill_a_backbone(tmp_path, name):
    timm = pytest.importorskip('timm')
    whole = timm.create_model(name).eval()
    torch.save(whole.state_dict(), tmp_path / 'whole.pth')
    backbone = MODELS.build(dict(type='TimmBackbone', model_name=name, checkpoint_path=str(tmp_path / 'whole.pth')))
    backbone.init_weights()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected = whole.forward_intermediates(image, indices=1, intermediates_only=True, norm=False)[-1]
        found = backbone.eval()(image)[-1]
    assert found.shape[2:] == expected.shape[2:]
