"""Official VirTex checkpoints: in, out, and their CNN to wherever a ResNet stands."""

import pytest
import torch
from torchvision.models import resnet18, resnet50
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from soho.engine.checkpoint.adapters.official import from_official, to_official
from soho.engine.checkpoint.adapters.official_virtex import is_official
from soho.engine.checkpoint.adapters.torchvision_resnet import to_detectron2, to_torchvision
from soho.engine.checkpoint.convert import bare_file, convert_file, detectron2_file, official_file
from soho.engine.checkpoint.load import load_weights
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint, state_dict_of


def shaken(model):
    """The model with every entry changed, so that nothing is equal by its initialisation."""
    for value in model.state_dict().values():
        value.add_(torch.rand_like(value) + 0.1 if value.is_floating_point() else 3)
    return model


@pytest.fixture(params=['bicaptioning', 'captioning', 'masked_lm', 'classification'])
def task(request):
    return request.param


def official_state(make_virtex, task='bicaptioning'):
    state = to_official(shaken(make_virtex(task)).state_dict())
    assert is_official(state)
    return state


def test_an_official_file_fills_the_model_and_comes_out_equal(task, make_virtex, tmp_path):
    official = official_state(make_virtex, task)
    torch.save(dict(model=official, iteration=500, optimizer=dict(state={})), tmp_path / 'official.pth')
    model = make_virtex(task)
    state = state_dict_of(read_checkpoint(str(tmp_path / 'official.pth')))
    report = load_weights(model, state, 'official.pth', strict=True)
    assert report.layout == 'official VirTex checkpoint' and not report.unexpected and not report.missing
    returned = to_official(model.state_dict())
    assert list(returned) == list(official)
    assert all(returned[name].equal(value) for name, value in official.items())


def test_what_is_shared_is_one_tensor_there_and_one_entry_here(make_virtex):
    official = official_state(make_virtex)
    words = official['textual.embedding.words.weight']
    for alias in ('textual.output.weight', 'backward_textual.output.weight', 'backward_textual.embedding.words.weight'):
        assert official[alias].data_ptr() == words.data_ptr()
    own = from_official(official)
    assert own.keys() == make_virtex().state_dict().keys()
    assert [name for name, value in own.items() if value.shape == words.shape] == ['language.embedding.words.weight']


@pytest.mark.parametrize(
    'name', ['textual.output.weight', 'backward_textual.visual_projection.bias', 'backward_textual.output.weight']
)
def test_what_should_be_shared_and_is_not_is_refused(name, make_virtex):
    official = official_state(make_virtex)
    official[name] = official[name] + 1
    with pytest.raises(CheckpointError, match=f'{name} differs from textual'):
        load_weights(make_virtex(), official, 'a file')


def test_a_forward_checkpoint_does_not_fill_a_bidirectional_model(make_virtex):
    official = official_state(make_virtex, 'captioning')
    with pytest.raises(CheckpointError, match='is incomplete: language.backward_transformer'):
        load_weights(make_virtex('bicaptioning'), official, 'a file')


def test_the_cnn_finds_its_place_in_other_models(make_virtex):
    wide = make_virtex(
        'captioning',
        backbone=dict(type='ResNet', depth=18),
        language=dict(type='CaptionTransformer', visual_size=512, vocab_size=60, hidden_size=64),
    )
    official = to_official(shaken(wide).state_dict())
    expected = wide.backbone.state_dict()
    for model, prefix in ((resnet18(), ''), (resnet_fpn_backbone(backbone_name='resnet18', weights=None), 'body.')):
        model.fc = torch.nn.Identity()
        load_weights(model, official, 'a file')
        own = model.state_dict()
        names = [name for name in own if name.startswith(prefix) and name.removeprefix(prefix) in expected]
        # torchvision's detection models have frozen batch-norms, which count nothing.
        assert len(names) in (len(expected), len(expected) - 20)
        assert all(own[name].equal(expected[name.removeprefix(prefix)]) for name in names)


def test_files_of_other_libraries(make_virtex, tmp_path):
    model = make_virtex(
        backbone=dict(type='ResNet', depth=50),
        language=dict(type='CaptionTransformer', visual_size=2048, vocab_size=60, hidden_size=64, bidirectional=True),
    )
    torch.save(dict(meta=dict(iter=90), state_dict=model.state_dict()), tmp_path / 'ours.pth')

    def converted(rename, wrap, source='ours.pth'):
        convert_file(rename, str(tmp_path / source), str(tmp_path / 'out.pth'), wrap)
        return torch.load(tmp_path / 'out.pth')

    bare = converted(to_torchvision, bare_file)
    net = resnet50()
    assert set(net.load_state_dict(bare, strict=False).missing_keys) == {'fc.weight', 'fc.bias'}
    detectron = converted(to_detectron2, detectron2_file)
    assert detectron['matching_heuristics'] is True
    assert detectron['model']['res5.2.conv3.norm.running_var'].equal(bare['layer4.2.bn3.running_var'])
    assert detectron['model']['res2.0.shortcut.norm.weight'].equal(bare['layer1.0.downsample.1.weight'])
    assert detectron['model']['stem.conv1.norm.bias'].equal(bare['bn1.bias'])
    official = converted(to_official, official_file)
    assert official.keys() == {'model', 'iteration'} and official['iteration'] == 90
    (tmp_path / 'out.pth').rename(tmp_path / 'official.pth')
    assert converted(to_torchvision, bare_file, 'official.pth').keys() == bare.keys()


def test_what_no_release_has_is_refused(make_virtex):
    with pytest.raises(ValueError, match='not an official checkpoint of SOHO or VirTex; it begins with conv1'):
        from_official(resnet18().state_dict())
    state = make_virtex().state_dict()
    with pytest.raises(ValueError, match=r'has models of a ResNet and one textual head only; it has nothing like neck'):
        to_official(dict(state, **{'neck.weight': torch.zeros(1)}))
    with pytest.raises(ValueError, match='it has no ResNet'):
        to_torchvision({'heads.output.weight': torch.zeros(1)})
