"""tools/analysis/print_config.py."""

import pytest
from mmengine.config import Config

VQA, BLIND = 'configs/demo/vqa.py', 'configs/demo/vqa_blind.py'


@pytest.fixture
def print_config(load_tool, capsys):
    def run(*argv):
        load_tool('analysis/print_config').main(argv)
        return capsys.readouterr().out

    return run


def test_what_is_printed_is_the_config(print_config):
    text = print_config(VQA, '--cfg-options', 'train_cfg.max_epochs=3')
    cfg = Config.fromstring(text, '.py')
    assert cfg.train_cfg.max_epochs == 3
    assert '_base_' not in cfg and cfg.model.type == 'SOHO'  # the bases are merged in


def test_difference_of_two_is_a_line_a_key(print_config):
    lines = print_config(VQA, '--diff', BLIND).splitlines()
    assert len(lines) == len({line.partition(':')[0] for line in lines})
    assert any(line.startswith('model.backbone') and line.endswith('-> None') for line in lines)
    assert not any(line.startswith('model.language.vocab_size') for line in lines)  # they share it


def test_options_lie_over_the_first(print_config):
    assert print_config(VQA, '--diff', VQA) == f'{VQA} and {VQA} are the same\n'
    changed = print_config(VQA, '--diff', VQA, '--cfg-options', 'train_dataloader.batch_size=3')
    assert changed.startswith('train_dataloader.batch_size: 3 -> ') and len(changed.splitlines()) == 1


def test_a_config_that_is_not_there_is_one_sentence(load_tool):
    with pytest.raises(SystemExit, match='there is no config configs/demo/vqq.py'):
        load_tool('analysis/print_config').main([VQA, '--diff', 'configs/demo/vqq.py'])
