"""The configs and scripts that ship with soho are found from any folder."""

import pytest

from soho.engine import ConfigError, default_work_dir, load_config
from soho.paths import CONFIGS, TOOLS, find_config, list_configs


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize('name', ['configs/VQA/soho_easyvqa.py', 'VQA/soho_easyvqa.py', './VQA/soho_easyvqa'])
def test_a_config_is_found_by_its_name(name):
    assert find_config(name) == str(CONFIGS / 'VQA' / 'soho_easyvqa.py')
    assert load_config(name).filename == find_config(name)
    assert default_work_dir(name) == 'work_dirs/VQA/soho_easyvqa'


def test_a_file_goes_before_a_config_of_that_name(tmp_path):
    mine = tmp_path / 'configs' / 'VQA' / 'soho_easyvqa.py'
    mine.parent.mkdir(parents=True)
    mine.write_text('mine = True\n')
    assert load_config('configs/VQA/soho_easyvqa.py').mine
    assert 'mine' not in load_config('VQA/soho_easyvqa')


def test_an_absolute_path_is_no_name(tmp_path):
    assert find_config(tmp_path / 'VQA' / 'soho_easyvqa.py') is None
    assert find_config(CONFIGS / 'VQA' / 'soho_easyvqa') is None


@pytest.mark.parametrize(
    'name, advice',
    [
        ('soho_easyvqa', r"did you mean 'VQA/soho_easyvqa'\?"),
        ('configs/VirTex/bicaptioning_R_50_H2048.py', r"did you mean 'VirTex/bicaptioning_R_50_L1_H2048'\?"),
        ('qqq.py', '`soho configs` lists those that do'),
    ],
)
def test_an_unknown_name_is_answered_with_the_closest(name, advice):
    with pytest.raises(ConfigError, match=f'there is no config {name}, and none of that name .*{advice}'):
        load_config(name)


def test_what_ships_is_listed():
    names = list_configs()
    assert 'demo/vqa' in names and not any(name.startswith('_base_') for name in names)
    assert all(find_config(name) for name in names)
    assert (TOOLS / 'train.py').is_file()
