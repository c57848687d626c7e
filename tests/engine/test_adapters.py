"""Foreign checkpoints: taken by their contents, reported, or refused without running their code."""

import os
import pickle
import zipfile
from collections import OrderedDict

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18, resnet34
from transformers import BertConfig, BertForPreTraining

from soho.engine import Runner
from soho.engine.checkpoint.adapters.layouts import OWN_LAYOUT
from soho.engine.checkpoint.adapters.official_soho import EMBEDDING, MLM_OUTPUT, to_official
from soho.engine.checkpoint.load import load_weights
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint, state_dict_of
from soho.registry import MODELS


def shaken(model):
    """The model with every entry changed, so that nothing is equal by its initialisation."""
    for value in model.state_dict().values():
        value.add_(torch.rand_like(value) + 0.1 if value.is_floating_point() else 3)
    return model


@pytest.fixture
def official(make_model):
    """An official pretraining state dict of a small model."""
    return to_official(shaken(make_model('pretrain')).state_dict())


def load(model, path, strict=False):
    return load_weights(model, state_dict_of(read_checkpoint(str(path))), str(path), strict)


def save(tmp_path, contents, name='weights.bin'):  # what it is follows from the contents
    torch.save(contents, tmp_path / name)
    return tmp_path / name


WRAPPINGS = {
    'plain': lambda state: dict(meta=dict(epoch=40, iter=9), state_dict=state),
    'bare': dict,
    'module': lambda state: dict(state_dict=OrderedDict((f'module.{name}', v) for name, v in state.items())),
    'optimizer and apex beside': lambda state: dict(
        meta=dict(epoch=40),
        state_dict=state,
        optimizer=dict(state={}, param_groups=[dict(lr=0.1)]),
        amp=dict(loss_scaler0=dict(loss_scale=128.0, unskipped=7)),
    ),
}


@pytest.mark.parametrize('wrapping', WRAPPINGS)
def test_an_official_checkpoint_fills_the_model_bit_for_bit(wrapping, official, make_model, tmp_path):
    model = make_model('pretrain')
    report = load(model, save(tmp_path, WRAPPINGS[wrapping](official)), strict=True)
    assert report.layout == 'official SOHO checkpoint'
    assert not report.unexpected and not report.missing
    loaded = to_official(model.state_dict())
    assert list(loaded) == list(official)
    assert all(loaded[name].equal(value) for name, value in official.items())


def test_half_precision_storage_is_taken_as_its_values(official, make_model, tmp_path):
    model = make_model('pretrain')
    half = {name: value.half() if value.is_floating_point() else value for name, value in official.items()}
    load(model, save(tmp_path, dict(state_dict=half)), strict=True)
    loaded = to_official(model.state_dict())
    assert all(loaded[name].dtype == official[name].dtype for name in loaded)
    assert all(loaded[name].equal(value.to(loaded[name].dtype)) for name, value in half.items())


def test_safetensors_are_known_without_their_suffix(official, make_model, tmp_path):
    save_file(
        {name: value.clone(memory_format=torch.contiguous_format) for name, value in official.items()},
        tmp_path / 'weights',
    )
    assert not load(make_model('pretrain'), tmp_path / 'weights', strict=True).missing


def test_pretraining_into_vqa_leaves_the_dictionary_and_says_so(official, make_model, tmp_path):
    model = make_model('vqa')
    path = save(tmp_path, dict(state_dict=official))
    report = load(model, path)
    assert {name.split('.')[1] for name in report.unexpected} == {
        'vq',
        'gate_fc',
        'pos_line',
        'mask_emb',
        'match_class',
    }
    assert {name.rsplit('.', 2)[0] for name in report.missing} == {'heads.vqa.classifier'}
    assert model.state_dict()['neck.conv.conv.weight'].equal(official['neck.conv.conv.weight'])
    text = str(report)
    assert 'unexpected: ' in text and 'neck.vq.* (4)' in text and 'missing: heads.vqa.*' in text
    with pytest.raises(CheckpointError, match='is incomplete'):
        load(model, path, strict=True)


def test_an_output_layer_that_is_not_tied_is_refused(official, make_model, tmp_path):
    official[MLM_OUTPUT] = official[EMBEDDING] + 1
    with pytest.raises(CheckpointError, match=r'mask_l_fc.weight differs from language\.bert'):
        load(make_model('pretrain'), save(tmp_path, official))


def bert(layers, **changes):
    config = dict(vocab_size=60, hidden_size=32, num_attention_heads=2, intermediate_size=64, num_hidden_layers=layers)
    return shaken(BertForPreTraining(BertConfig(**{**config, **changes}))).state_dict()


def old_names(state):
    """As checkpoints converted from TensorFlow spell them, with a buffer that old versions saved."""
    renamed = {
        name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'): value
        for name, value in state.items()
    }
    return {**renamed, 'bert.embeddings.position_ids': torch.arange(512)[None]}


def test_wanted_parts_alone_are_taken(make_model):
    source, model = make_model('pretrain'), make_model('vqa')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for value in source.state_dict().values():
        value.add_(1)
    report = load_weights(model, source.state_dict(), 'x.pth', parts=['backbone'])
    assert report.loaded and all(name.startswith('backbone.') for name in report.loaded)
    for name, value in model.state_dict().items():
        expected = source.state_dict()[name] if name.startswith('backbone.') else before[name]
        assert value.equal(expected)
    with pytest.raises(CheckpointError, match="x.pth has no 'heads.vqa' of this model to take; it has backbone, lang"):
        load_weights(model, source.state_dict(), 'x.pth', parts=['heads.vqa'])


@pytest.mark.parametrize(
    'spelling',
    [
        dict,
        old_names,
        lambda state: {name.removeprefix('bert.'): value for name, value in state.items() if name.startswith('bert.')},
        lambda state: {name: value for name, value in state.items() if 'pooler' not in name},
    ],
)
def test_bert_fills_the_language_part_with_its_first_layers(spelling, make_model, tmp_path):
    model, state = make_model('pretrain'), bert(layers=4)
    report = load(model, save(tmp_path, spelling(state)))
    assert report.layout == 'Hugging Face BERT'
    assert {name.split('.')[0] for name in report.missing} == {'backbone', 'neck', 'heads'}
    for name, value in model.language.state_dict().items():
        assert value.equal(state[name])
    assert any('layer.3' in name for name in report.unexpected)


def test_bert_with_too_few_layers_is_refused(make_model, tmp_path):
    with pytest.raises(
        CheckpointError, match=r'is incomplete: language\.bert\.encoder\.layer\.1.* and 15 more entries are missing'
    ):
        load(make_model('pretrain'), save(tmp_path, bert(layers=1)))


def test_a_torchvision_resnet_fills_the_backbone(make_model, tmp_path):
    model, net = make_model('vqa'), shaken(resnet18())
    report = load(model, save(tmp_path, net.state_dict()))
    assert report.layout == 'torchvision ResNet'
    assert {'fc.weight', 'fc.bias'} < set(report.unexpected)
    assert all(value.equal(net.state_dict()[name]) for name, value in model.backbone.state_dict().items())


def test_a_resnet_without_batch_counts_is_complete(make_model, tmp_path):
    state = {name: value for name, value in resnet18().state_dict().items() if 'num_batches' not in name}
    report = load(make_model('vqa').backbone, save(tmp_path, state), strict=True)
    assert all(name.endswith('num_batches_tracked') for name in report.missing)


@pytest.mark.parametrize(
    'part, checkpoint, left',
    [
        (dict(type='ResNet', depth=18), lambda: resnet18().state_dict(), 'fc.weight'),
        (dict(type='ResNet', depth=18), lambda: {f'backbone.{n}': v for n, v in resnet18().state_dict().items()}, None),
    ],
)
def test_a_part_starts_from_a_file(part, checkpoint, left, tmp_path):
    state = {name: value + 1 for name, value in checkpoint().items()}
    prefix = None if left else 'backbone'
    part = MODELS.build(
        dict(part, init_cfg=dict(type='Pretrained', checkpoint=str(save(tmp_path, state)), prefix=prefix))
    )
    part.init_weights()
    start = f'{prefix}.' if prefix else ''
    assert all(value.equal(state[start + name]) for name, value in part.state_dict().items())


def test_a_part_refuses_a_file_of_another_depth(tmp_path):
    path = save(tmp_path, resnet18().state_dict())
    backbone = MODELS.build(dict(type='ResNet', depth=34, init_cfg=dict(type='Pretrained', checkpoint=str(path))))
    with pytest.raises(CheckpointError, match=r'is incomplete: layer1\.2\.conv1\.weight and'):
        backbone.init_weights()


@pytest.mark.parametrize('folder', [False, True])
def test_the_cross_modal_bert_starts_from_a_file_or_a_folder(folder, tmp_path):
    state = bert(layers=3)
    path = save(tmp_path, state, 'pytorch_model.bin')
    language = MODELS.build(
        dict(
            type='CrossModalBert',
            pretrained=str(tmp_path if folder else path),
            vocab_size=60,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
        )
    )
    language.init_weights()
    assert all(value.equal(state[name]) for name, value in language.state_dict().items())


def test_a_missing_layer_is_refused(official, make_model, tmp_path):
    official = {n: v for n, v in official.items() if not n.startswith('language.bert.encoder.layer.1.')}
    for strict in (False, True):
        with pytest.raises(CheckpointError, match=r'is incomplete: language\.bert\.encoder\.layer\.1'):
            load(make_model('pretrain'), save(tmp_path, official), strict)


def test_another_model_is_refused(make_model, tmp_path):
    with pytest.raises(CheckpointError, match=r'has no weight of this model; it begins with 0\.weight'):
        load(make_model('vqa'), save(tmp_path, nn.Sequential(nn.Linear(2, 2)).state_dict()))
    with pytest.raises(CheckpointError, match=r'has shape'):
        load(
            make_model('vqa', backbone=dict(type='ResNet', depth=50, num_stages=2, out_indices=(1,))),
            save(tmp_path, resnet34().state_dict()),
        )


def test_a_wrong_model_is_left_as_it_was(official, make_model, tmp_path):
    model = make_model('pretrain')
    before = {name: value.clone() for name, value in model.state_dict().items()}
    official['neck.conv.conv.weight'] = torch.zeros(3, 3)
    with pytest.raises(CheckpointError, match=r'neck\.conv\.conv\.weight has shape \(3, 3\), the model wants'):
        load(model, save(tmp_path, official))
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize('kept', [0, 10, 1000, -200])
@pytest.mark.parametrize('legacy', [False, True])
def test_a_truncated_file_is_refused(kept, legacy, official, tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=official), path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match='damaged|no checkpoint'):
        read_checkpoint(str(path))


def test_a_truncated_safetensors_file_is_refused(official, tmp_path):
    path = tmp_path / 'weights.safetensors'
    save_file({name: value.clone(memory_format=torch.contiguous_format) for name, value in official.items()}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match='is not a readable safetensors file'):
        read_checkpoint(str(path))


class Code:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('legacy', [False, True])
def test_code_in_a_file_is_refused_and_does_not_run(legacy, official, tmp_path):
    sign = tmp_path / 'it ran'
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=official, meta=Code(str(sign))), path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match='could run its code; it was refused'):
        read_checkpoint(str(path))
    assert not sign.exists()


def test_code_in_a_plain_pickle_is_refused(tmp_path):
    path = tmp_path / 'weights.pth'
    path.write_bytes(pickle.dumps(dict(meta=Code(str(tmp_path / 'it ran'))), protocol=2))
    with pytest.raises(CheckpointError, match=rf'it was refused: it asks for {os.name}\.mkdir$'):
        read_checkpoint(str(path))
    assert not (tmp_path / 'it ran').exists()


def lengthen(pickled):
    return pickled.replace(b'cposix\n', b'c' + 3000 * b'x' + b'\n')


@pytest.mark.parametrize('how', ['zip', 'before 1.6', 'plain pickle'])
def test_a_name_without_end_does_not_reach_torch(how, tmp_path, monkeypatch):
    """A message of torch about 200,000 characters took minutes."""
    whole, path, contents = tmp_path / 'whole.pth', tmp_path / 'weights.pth', dict(meta=Code('x'))
    torch.save(contents, whole, _use_new_zipfile_serialization=how == 'zip')
    if how == 'zip':
        with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, 'w') as new:
            for name in old.namelist():
                new.writestr(name, lengthen(old.read(name)))
    else:
        path.write_bytes(lengthen(whole.read_bytes() if how == 'before 1.6' else pickle.dumps(contents, protocol=2)))
    assert 3000 * b'x' in path.read_bytes()
    monkeypatch.setattr(torch, 'load', lambda *args, **kwargs: pytest.fail('torch has been asked'))
    with pytest.raises(CheckpointError, match=r'it was refused: it asks for xxx\S+\.mkdir$'):
        read_checkpoint(str(path))


def test_what_is_no_tensor_is_reported(official, make_model, tmp_path):
    report = load(make_model('pretrain'), save(tmp_path, dict(state_dict=dict(official, note='hello'))))
    assert report.unexpected == ['note']


@pytest.fixture
def runner(make_model):
    """As much of a runner as reads a checkpoint."""
    runner = Runner.__new__(Runner)
    runner.model, runner._hooks, runner.logger = make_model('pretrain'), [], MMLogger.get_current_instance()
    runner.cfg, runner._seed = Config(), 0
    return runner


def test_the_runner_takes_an_official_checkpoint(runner, official, tmp_path):
    runner.load_checkpoint(str(save(tmp_path, WRAPPINGS['optimizer and apex beside'](official))))
    assert runner.model.state_dict()['heads.itm.match_class.weight'].equal(official['head.match_class.weight'])


def test_a_run_cannot_go_on_from_a_foreign_checkpoint(runner, official, tmp_path):
    path = save(tmp_path, dict(meta=dict(epoch=3, iter=9), state_dict=official, optimizer={}))
    with pytest.raises(CheckpointError, match='is an official SOHO checkpoint: a run of this project starts from'):
        runner.resume(str(path))


def test_own_weights_are_called_so(make_model):
    model = make_model('vqa')
    assert load_weights(model, model.state_dict(), 'itself', strict=True).layout == OWN_LAYOUT


def test_a_checkpoint_from_before_the_shared_head_is_read(make_model, tmp_path):
    model = make_model('vqa')
    earlier = {name.replace('heads.vqa.classifier.', 'heads.vqa.vqa.'): v for name, v in model.state_dict().items()}
    assert 'heads.vqa.vqa.0.weight' in earlier
    other = make_model('vqa')
    report = load(other, save(tmp_path, dict(state_dict=earlier)), strict=True)
    assert report.layout == 'own checkpoint' and not report.missing and not report.unexpected
    assert other.heads['vqa'].classifier[0].weight.equal(model.heads['vqa'].classifier[0].weight)
