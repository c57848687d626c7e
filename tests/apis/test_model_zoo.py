"""The list of models: what it says is there, and the document that is made of it."""

import os

import pytest

import soho
from soho.apis.model_zoo import describe_zoo, find_model, read_zoo
from soho.apis.sources import verify_file
from soho.engine.checkpoint.read import CheckpointError
from soho.errors import UserError
from soho.paths import CONFIGS, RESOURCES, list_configs

LARGEST = 20e6  # bytes of all shipped models together


def test_every_model_has_its_config():
    for entry in read_zoo().values():
        assert entry.config in list_configs(), entry.name
        assert entry.weights or entry.note, f'{entry.name} says neither where its weights are nor why there are none'


def test_every_recipe_is_listed():
    listed = {entry.config for entry in read_zoo().values()}
    variants = ('_corrected', '_official_decoding', 'photos', '_blind', '_scales')
    for name in list_configs():
        own = (
            name.startswith(('demo/', 'Transfer/')) or '/small_' in name
        )  # for data of one's own, and the CNN's transfer
        if not own and not name.endswith(variants):
            assert name in listed, name


def test_shipped_models_are_those_listed():
    shipped = {entry.name: entry for entry in read_zoo().values() if entry.shipped}
    assert {file.parent.name for file in (RESOURCES / 'models').glob('*/model.safetensors')} == set(shipped)
    assert sum(os.path.getsize(entry.path) for entry in shipped.values()) < LARGEST
    for entry in shipped.values():
        verify_file(entry.path, entry.sha256)
        assert entry.results and {'config.py', 'train.log'} <= set(os.listdir(os.path.dirname(entry.path)))


def test_a_damaged_file_is_noticed(tmp_path):
    (tmp_path / 'a').write_bytes(b'x')
    with pytest.raises(CheckpointError, match='is damaged: its SHA-256 is 2d71'):
        verify_file(str(tmp_path / 'a'), '0' * 64)


def test_names():
    names = soho.list_models()
    assert set(names[:3]) == {'soho_vqa_synthetic', 'soho_easyvqa', 'virtex_captions_synthetic'}
    assert 'bicaptioning_R_50_L1_H2048' in names and 'soho_res18_vqa' not in names
    assert soho.list_models('soho*') == ['soho_easyvqa', 'soho_vqa_synthetic']
    assert find_model('nothing') is None
    with pytest.raises(UserError, match='the weights of soho_res18_vqa cannot be downloaded; .*: give the file'):
        soho.load('soho_res18_vqa')


def test_the_document_is_current():
    document = CONFIGS.parent / 'docs' / 'model_zoo.md'
    assert document.read_text() == describe_zoo(), 'soho models --markdown > docs/model_zoo.md'
