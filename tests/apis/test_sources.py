"""What a person calls a model, and the file that is meant."""

import runpy
import sys

import pytest
import torch

from soho.apis.model_zoo import find_model
from soho.apis.sources import locate_checkpoint
from soho.engine.checkpoint.errors import CheckpointError
from soho.engine.checkpoint.newest import newest_checkpoint
from soho.paths import TOOLS


def save(path, iteration, **more):
    torch.save(dict(meta=dict(iter=iteration), state_dict={}, **more), path)
    return str(path)


def test_names_files_and_addresses(tmp_path):
    assert locate_checkpoint('soho_easyvqa') == find_model('soho_easyvqa').path
    assert locate_checkpoint('torchvision://resnet50') == 'torchvision://resnet50'
    path = save(tmp_path / 'a.pth', 1)
    assert locate_checkpoint(tmp_path / 'a.pth') == path
    with pytest.raises(CheckpointError, match='there is no checkpoint b.pth, and no model of that name'):
        locate_checkpoint('b.pth')


def test_of_a_work_dir_the_best_or_else_the_newest_is_meant(tmp_path):
    with pytest.raises(CheckpointError, match='neither model.safetensors, .* nor a checkpoint of a run'):
        locate_checkpoint(tmp_path)
    run = dict(message_hub={}, optimizer={})
    only = save(tmp_path / 'epoch_9.pth', 9, **run)
    assert locate_checkpoint(tmp_path) == only
    newest = save(tmp_path / 'epoch_10.pth', 10, **run)
    assert locate_checkpoint(tmp_path) == newest == newest_checkpoint([tmp_path])[0]
    save(tmp_path / 'best_loss_epoch_3.pth', 3)
    best = save(tmp_path / 'best_accuracy_epoch_8.pth', 8)
    assert locate_checkpoint(tmp_path) == best
    (tmp_path / 'model.safetensors').touch()
    assert locate_checkpoint(tmp_path) == str(tmp_path / 'model.safetensors')


def test_weights_of_which_none_is_the_newest_are_not_chosen_among(tmp_path):
    for name in ('a.pth', 'b.pth'):
        torch.save({}, tmp_path / name)
    with pytest.raises(CheckpointError, match='has 2 checkpoints, and none of them says that it is the newest'):
        locate_checkpoint(tmp_path)


def test_scripts_take_names(load_tool, tmp_path, monkeypatch, capsys):
    cfg = load_tool('test').build_config(['VQA/soho_easyvqa', 'soho_easyvqa'])
    assert cfg.load_from == find_model('soho_easyvqa').path
    out = str(tmp_path / 'cnn.pth')
    monkeypatch.setattr(sys, 'argv', ['soho', 'soho_easyvqa', out])
    runpy.run_path(str(TOOLS / 'convert' / 'to_torchvision.py'), run_name='__main__')
    assert 'conv1.weight' in torch.load(out) and capsys.readouterr().out.startswith(out)
