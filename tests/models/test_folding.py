"""Folded norms change no result, and nothing else."""

import pytest
import torch

from soho.engine import Runner
from soho.models import SOHO
from soho.models.folding import fold_norms
from soho.registry import MODELS


def unsettle(model):
    """Statistics, scales and shifts as after some training."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
    return model


def norms(model):
    return [module for module in model.modules() if hasattr(module, 'running_var')]


def test_features_are_the_same(make_model):
    model = unsettle(make_model('vqa')).double()
    image = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    before = model.backbone(image)
    assert norms(model)
    torch.testing.assert_close(fold_norms(model).backbone(image), before)
    assert not norms(model)


def test_a_whole_answer_is_the_same(make_model, make_batch, preprocess):
    model = unsettle(make_model('vqa'))
    batch = preprocess(model, make_batch())
    (before,) = model(mode='predict', **batch)
    (after,) = fold_norms(model)(mode='predict', **batch)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


def test_norms_that_hold_an_activation_stay():
    model = torch.nn.Sequential(MODELS.build(dict(type='TimmBackbone', model_name='mobilenetv3_small_050'))).eval()
    unsettle(model)
    image = torch.randn(1, 3, 64, 64)
    before = model(image)
    torch.testing.assert_close(fold_norms(model)(image), before)


def test_a_model_in_training_is_refused(make_model):
    with pytest.raises(ValueError, match='for inference only'):
        fold_norms(make_model().train())


@pytest.mark.parametrize('hooks', [[], [dict(type='EMAHook')]])
def test_the_hook_folds_for_a_test(hooks, tiny_config, monkeypatch):
    tested = []
    monkeypatch.setattr(
        SOHO,
        'test_step',
        lambda self, data: (
            tested.append(norms(self)) or self._run_forward(self.data_preprocessor(data), mode='predict')
        ),
    )
    fold = Runner.from_cfg(tiny_config(custom_hooks=[*hooks, dict(type='FoldNormsHook')]))
    unsettle(fold.model)
    plain = Runner.from_cfg(tiny_config(custom_hooks=hooks))
    plain.model.load_state_dict(fold.model.state_dict())
    metrics, expected = fold.test(), plain.test()
    assert metrics == pytest.approx(expected)
    assert not tested[0] and tested[-1] and norms(fold.model)
