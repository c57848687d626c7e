"""CNNs through torch.hub, from local files."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from soho.engine.checkpoint.adapters.official_soho import to_official
from soho.engine.checkpoint.read import CheckpointError
from soho.errors import UserError

ROOT = str(Path(__file__).resolve().parents[1])
NAMES = ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'wide_resnet50_2', 'wide_resnet101_2']


def load(name, **options):
    return torch.hub.load(ROOT, name, source='local', **options).eval()


@pytest.mark.parametrize('name', NAMES)
def test_a_hub_model_is_torchvisions_without_its_end(name, tmp_path):
    theirs = getattr(models, name)().eval()
    torch.save(theirs.state_dict(), tmp_path / 'weights.pth')
    image = torch.randn(2, 3, 64, 96)
    features = load(name, weights=str(tmp_path / 'weights.pth'))(image)
    assert features.shape == (2, 512 if name in ('resnet18', 'resnet34') else 2048, 2, 3)
    torch.testing.assert_close(theirs.fc(features.mean((2, 3))), theirs(image), rtol=1e-3, atol=1e-4)


# What torch and torchvision bring along, and what they look for and do without.
ALONE = """
import importlib.machinery, sys
allowed = {'torch', 'torchvision', 'torchgen', 'functorch', 'numpy', 'PIL', 'typing_extensions', 'sympy', 'mpmath',
           'networkx', 'jinja2', 'markupsafe', 'fsspec', 'filelock', 'nvidia', 'triton', 'setuptools',
           '_distutils_hack', 'pkg_resources', 'cuda', 'soho', 'hubconf', *sys.stdlib_module_names}

class Few(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split('.')[0] in allowed or name.startswith('_sysconfigdata'):
            return super().find_spec(name, path, target)

assert not {'mmengine', 'torch', 'soho'} & set(sys.modules)
sys.meta_path[:] = [importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, Few]
for name in ('mmengine', 'mmcv', 'transformers', 'addict', 'cv2', 'pycocotools', 'tokenizers', 'safetensors',
             'matplotlib', 'timm', 'yaml', 'rich'):
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f'{name} is not refused')
import torch
"""


def run_alone(script, *args):
    command = [sys.executable, '-c', ALONE + script, ROOT, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, cwd=args[0] if args else None)


def test_torch_and_torchvision_are_enough(tmp_path):
    net = models.resnet18().eval()
    state = net.state_dict()
    torch.save(dict(meta=dict(epoch=1), state_dict={f'backbone.{n}': v for n, v in state.items()}), tmp_path / 'a.pth')
    image = torch.randn(2, 3, 64, 96)
    torch.save(image, tmp_path / 'image.pt')
    script = (
        'hub = torch.hub.load(sys.argv[1], "resnet18", source="local", weights="a.pth").eval()\n'
        'torch.save(hub(torch.load("image.pt")), "features.pt")'
    )
    done = run_alone(script, tmp_path)
    assert done.returncode == 0, done.stderr
    features = torch.load(tmp_path / 'features.pt')
    torch.testing.assert_close(net.fc(features.mean((2, 3))), net(image), rtol=1e-3, atol=1e-4)


def test_a_package_that_is_missing_is_named(tmp_path):
    save_file(models.resnet18().state_dict(), tmp_path / 'a.safetensors')
    script = 'torch.hub.load(sys.argv[1], "resnet18", source="local", weights="a.safetensors")'
    done = run_alone(script, tmp_path)
    assert done.returncode and 'a.safetensors is a safetensors file, which needs the package safetensors' in done.stderr
    ours = load('resnet18', weights=str(tmp_path / 'a.safetensors'))
    assert ours.conv1.weight.shape == (64, 3, 7, 7)


def test_the_dependencies_are_those():
    spec = importlib.util.spec_from_file_location('hubconf', Path(ROOT) / 'hubconf.py')
    hubconf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hubconf)
    assert hubconf.dependencies == ['torch', 'torchvision']


@pytest.mark.parametrize('layout', ['ours', 'official SOHO', 'official VirTex', 'VirTex CNN alone', 'wrapped', 'other'])
def test_every_layout_is_read(layout, make_model, tmp_path):
    net = models.resnet18()
    prefixes = {
        'official VirTex': 'visual.cnn.',
        'VirTex CNN alone': '',
        'wrapped': 'module.backbone.',
        'other': 'x.y.',
    }
    state = {prefixes.get(layout, 'backbone.') + n: v for n, v in net.state_dict().items() if not n.startswith('fc.')}
    rest = {n: v for n, v in make_model('pretrain').state_dict().items() if not n.startswith('backbone.')}
    file = dict(state_dict=state)
    if layout == 'ours':
        file = dict(meta=dict(cfg='x = 1'), state_dict=state | rest)
    elif layout == 'official SOHO':
        file = dict(state_dict=to_official(state | rest))
    elif layout == 'official VirTex':
        words = torch.zeros(5, 4)
        end = {
            'textual.embedding.words.weight': words,
            'textual.output.weight': words,
            'textual.output.bias': words[:, 0],
        }
        file = dict(model=state | end, iteration=3)
    elif layout == 'VirTex CNN alone':
        file = state
    torch.save(file, tmp_path / 'weights.pth')
    ours = load('resnet18', weights=str(tmp_path / 'weights.pth')).state_dict()
    assert ours and all(value.equal(net.state_dict()[name]) for name, value in ours.items())


@pytest.mark.parametrize('name', ['resnet18', 'resnet34', 'resnet152', 'wide_resnet101_2'])
def test_weights_that_nobody_published_are_refused(name):
    with pytest.raises(UserError, match=f'{name} has no published weights .resnet50, resnet101, wide_resnet50_2 have'):
        load(name, pretrained=True)


@pytest.mark.parametrize('name', ['resnet50', 'resnet101', 'wide_resnet50_2'])
def test_published_weights_are_asked_for(name, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    state = {f'visual.cnn.{n}': v for n, v in getattr(models, name)().state_dict().items()}
    monkeypatch.setattr(
        torch.hub, 'download_url_to_file', lambda url, path, progress: torch.save(dict(model=state), path)
    )
    assert load(name, pretrained=True).conv1.weight.equal(state['visual.cnn.conv1.weight'])


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
