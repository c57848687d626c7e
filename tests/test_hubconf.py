"""CNNs through torch.hub, from local files."""
from pathlib import Path

import pytest
import torch
from torchvision import models

from soho.engine.checkpoint import CheckpointError

ROOT = str(Path(__file__).resolve().parents[1])


def load(name, **options):
    return torch.hub.load(ROOT, name, source='local', **options).eval()


@pytest.mark.parametrize('name', ['resnet50', 'resnet101', 'wide_resnet50_2'])
def test_a_hub_model_is_torchvisions_without_its_end(name, tmp_path):
    theirs = getattr(models, name)().eval()
    torch.save(theirs.state_dict(), tmp_path / 'weights.pth')
    image = torch.randn(2, 3, 64, 96)
    features = load(name, weights=str(tmp_path / 'weights.pth'))(image)
    assert features.shape == (2, 2048, 2, 3)
    torch.testing.assert_close(theirs.fc(features.mean((2, 3))), theirs(image), rtol=1e-3, atol=1e-4)


def test_what_does_not_fit_is_refused(tmp_path):
    torch.save(models.resnet18().state_dict(), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='has shape'):
        load('resnet50', weights=str(tmp_path / 'weights.pth'))


def test_a_hub_model_comes_out_of_a_whole_model(tmp_path):
    net = models.resnet50()
    whole = {f'backbone.{name}': value for name, value in net.state_dict().items()}
    torch.save(dict(state_dict=whole | {'heads.x.weight': torch.zeros(1)}), tmp_path / 'iter_3.pth')
    ours = load('resnet50', weights=str(tmp_path / 'iter_3.pth')).state_dict()
    assert all(value.equal(net.state_dict()[name]) for name, value in ours.items())
