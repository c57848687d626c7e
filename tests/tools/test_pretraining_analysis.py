"""tools/analysis/pretraining.py on the tiny data set."""

import json

import pytest
import torch

from soho.engine import load_config
from soho.registry import MODELS

CONFIG = 'configs/demo/pretrain_decay.py'


def test_recall_in_both_directions(load_tool):
    scores = torch.tensor([[0.1, 0.9, 0.2, 0.3], [0.0, 0.0, 0.1, 0.8]])  # two pictures, two captions each
    figures = load_tool('analysis/pretraining').recall_at_1(scores)
    assert figures == dict(image_to_text=100.0, text_to_image=75.0, chance=50.0)
    assert load_tool('analysis/pretraining').recall_at_1(scores.flip(0))['image_to_text'] == 0.0


@pytest.fixture
def checkpoint(synthetic, tmp_path, monkeypatch):
    monkeypatch.setenv('SOHO_SYNTHETIC', str(synthetic))
    torch.manual_seed(0)
    model = MODELS.build(load_config(CONFIG).model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    return str(tmp_path / 'model.pth')


def test_a_model_without_matching_is_measured_by_its_words(load_tool, checkpoint):
    config = 'configs/demo/directions/without_itm.py'
    figures = load_tool('analysis/pretraining').main([config, checkpoint, '--draws', '1'])
    assert figures.keys() == {'hidden_words', 'hidden_words_without_image'}


def test_the_figures_of_a_checkpoint(load_tool, checkpoint, tmp_path):
    tool = load_tool('analysis/pretraining')
    figures = tool.main(
        [CONFIG, checkpoint, '--pictures', '4', '--draws', '2', '--out', str(tmp_path / 'figures.json')]
    )
    assert json.loads((tmp_path / 'figures.json').read_text()) == figures
    assert 0 < figures['matching'] < 100 and figures['retrieval']['chance'] == 25.0
    seen, blind = figures['hidden_words'], figures['hidden_words_without_image']
    assert seen.keys() == blind.keys() >= {'acc_noun', 'acc_color', 'acc_words', 'loss_mlm'}
    assert seen['loss_mlm'] != blind['loss_mlm']  # the same hidden words, of which the image decides some
    with pytest.raises(SystemExit, match=r'--pictures 4000: the test data of .*pretrain_decay\.py have \d+'):
        tool.main([CONFIG, checkpoint, '--pictures', '4000'])
