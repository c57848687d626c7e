"""Checkpoints to the official layout and back, bit for bit."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from soho.engine.checkpoint.adapters.official import from_official
from soho.engine.checkpoint.adapters.official_soho import EMBEDDING, MLM_OUTPUT, to_official
from soho.engine.checkpoint.convert import convert_file, run_command
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint

DATA = Path(__file__).resolve().parents[1] / 'data' / 'parity'


@pytest.fixture(params=['pretrain', 'vqa'])
def checkpoint(request, make_model, tmp_path):
    """A checkpoint of this project, as its hook writes one."""
    path = tmp_path / 'ours.pth'
    meta = dict(epoch=3, iter=90, cfg='model = dict()')
    torch.save(dict(meta=meta, state_dict=make_model(request.param).state_dict(), optimizer={}), path)
    return path


@pytest.mark.parametrize('suffix', ['pth', 'safetensors'])
def test_a_round_trip_changes_no_bit(checkpoint, suffix, tmp_path):
    official, back = str(tmp_path / f'official.{suffix}'), str(tmp_path / f'back.{suffix}')
    count = convert_file(to_official, str(checkpoint), official)
    convert_file(from_official, official, back)

    def state(path):
        return load_file(path) if path.endswith('safetensors') else torch.load(path)['state_dict']

    assert len(state(official)) == count
    start, end = torch.load(checkpoint)['state_dict'], state(back)
    assert start.keys() == end.keys()
    assert all(end[name].equal(value) and end[name].dtype == value.dtype for name, value in start.items())


def test_the_official_file_has_the_official_form(make_model, tmp_path):
    torch.save(dict(meta=dict(epoch=3, iter=90), state_dict=make_model('pretrain').state_dict()), tmp_path / 'a.pth')
    convert_file(to_official, str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth'))
    contents = torch.load(tmp_path / 'b.pth')
    assert contents['meta'] == dict(epoch=3, iter=90)
    state = contents['state_dict']
    recorded = [n for n in json.loads((DATA / 'pretrain.keys.json').read_text())['keys'] if n in state]
    assert list(state) == recorded
    assert state[MLM_OUTPUT].data_ptr() == state[EMBEDDING].data_ptr()
    assert {v.dtype for n, v in state.items() if n.endswith('num_batches_tracked')} == {torch.int64}


def test_half_precision_stays(make_model, tmp_path):
    state = {n: v.half() if v.is_floating_point() else v for n, v in make_model('vqa').state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    convert_file(to_official, str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth'))
    assert torch.load(tmp_path / 'b.pth')['state_dict']['head.vqa.0.weight'].dtype == torch.float16


def test_a_model_without_official_counterpart_is_refused(make_model, tmp_path, capsys):
    torch.save({f'decoder.{n}': v for n, v in make_model('vqa').state_dict().items()}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'cannot be converted: .* has nothing like decoder\.backbone'):
        convert_file(to_official, str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth'))
    with pytest.raises(SystemExit) as stop:
        run_command(from_official, 'text', [str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')])
    assert stop.value.code == 1
    assert 'not an official checkpoint of SOHO or VirTex' in capsys.readouterr().err


def test_the_command_says_what_it_wrote(checkpoint, tmp_path, capsys):
    run_command(to_official, 'text', [str(checkpoint), str(tmp_path / 'b.pth')])
    assert capsys.readouterr().out.startswith(f'{tmp_path / "b.pth"}: ')


def test_the_folder_of_the_result_is_made_and_a_file_may_be_replaced(checkpoint, tmp_path):
    out = tmp_path / 'new' / 'folder' / 'b.safetensors'
    run_command(to_official, 'text', [str(checkpoint), str(out)])
    run_command(from_official, 'text', [str(out), str(out)])
    assert len(read_checkpoint(str(out))['state_dict'])


def test_a_folder_is_no_result(checkpoint, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_command(to_official, 'text', [str(checkpoint), str(tmp_path)])
    assert stopped.value.code == 1 and f'error: {tmp_path} is a folder; OUT is the file' in capsys.readouterr().err


def test_others_may_read_a_file_of_safetensors(checkpoint, tmp_path):
    out = tmp_path / 'official.safetensors'
    convert_file(to_official, str(checkpoint), str(out))
    assert out.stat().st_mode & 0o044 == 0o044
