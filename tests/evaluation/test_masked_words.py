"""Masked words by kind."""

import pytest
import torch

from soho.datasets.tokenizer import SPECIAL
from soho.evaluation import MaskedWordAccuracy

WORDS = [*SPECIAL, 'a', 'red', 'blue', 'star', 'ring']


@pytest.fixture
def tokenizer(tmp_path):
    path = tmp_path / 'vocab.txt'
    path.write_text('\n'.join(WORDS) + '\n')
    return dict(vocab=str(path))


def test_each_kind_and_all_of_them_together(tokenizer):
    metric = MaskedWordAccuracy(
        tokenizer, kinds=dict(noun=['star', 'ring'], color=['red', 'blue', 'pink'], number=['a'])
    )
    labels = torch.tensor([[[-100, 1, 6, 8], [6, -100, 9, -100]]])  # [UNK] red star; red, ring
    metric.process(dict(mlm_labels=labels), dict(mlm_correct=torch.tensor([False, True, True, False, False])))
    labels = torch.full((1, 2, 4), -100)
    labels[0, 1, 2] = 7
    metric.process(dict(mlm_labels=labels), dict(mlm_correct=torch.tensor([True])))
    metric.process(dict(mlm_labels=labels.fill_(-100)), dict(mlm_correct=torch.zeros(0, dtype=torch.bool)))
    metrics = metric.compute_metrics(metric.results)
    assert metrics == pytest.approx(dict(acc_noun=50.0, acc_color=200 / 3, acc_words=60.0))


def test_a_word_that_is_no_token(tokenizer):
    with pytest.raises(ValueError, match='none of the words green, Red is a token of the vocabulary'):
        MaskedWordAccuracy(tokenizer, kinds=dict(color=['green', 'Red']))
