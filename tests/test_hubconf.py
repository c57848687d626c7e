"""CNNs through torch.hub, from local files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision import models

from soho.engine.checkpoint.read import CheckpointError

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


@pytest.mark.slow
def test_all_that_is_imported_is_named():
    """Else torch.hub.load ends in an ImportError where it would name what is missing."""
    ask = (
        'import sys, hubconf; print(*hubconf.dependencies); '
        'print(*(m.__file__ for name, m in sys.modules.items() if name.split(".")[0] in ("soho", "hubconf")))'
    )
    said = subprocess.run([sys.executable, '-c', ask], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named, files = map(str.split, said.splitlines())
    imported = set()
    for statement in (node for file in files for node in ast.parse(Path(file).read_text()).body):
        if isinstance(statement, ast.Import):
            imported |= {alias.name.split('.')[0] for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            imported.add(statement.module.split('.')[0])
    assert imported - {'soho', *sys.stdlib_module_names} == set(named)


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
