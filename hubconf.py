"""CNNs learnt from images and their sentences, for ``torch.hub.load``; needs torch and torchvision, nothing else.

    torch.hub.load(REPO, 'resnet50', weights='https://... or a local file')
    torch.hub.load(REPO, 'resnet50', pretrained=True)

Each gives a ResNet with torchvision's names, without pooling and classifier:
(B, 3, H, W) normalised images to (B, C, H / 32, W / 32) features, C = 512 for ResNet-18 and 34 and 2048 for others.
Weights may be any checkpoint that holds such a ResNet, alone or in a whole model: of this project, official
SOHO or VirTex, torchvision. Reading them never runs code.
"""

from torch import Tensor as _Tensor
from torchvision.models.resnet import BasicBlock as _BasicBlock
from torchvision.models.resnet import Bottleneck as _Bottleneck
from torchvision.models.resnet import ResNet as _ResNet

from soho.engine.checkpoint.load import load_part as _load_part
from soho.errors import UserError as _UserError

dependencies = ['torch', 'torchvision']

# Published weights of the official VirTex release, trained on COCO Captions.
_URL = 'https://www.dropbox.com/s/{}?dl=1'
_PUBLISHED = dict(
    resnet50=_URL.format('mbeeso8wyieq8wy/bicaptioning_R_50_L1_H2048.pth'),
    resnet101=_URL.format('bb74jubt68cpn80/bicaptioning_R_101_L1_H1024.pth'),
    wide_resnet50_2=_URL.format('5o198ux709r6376/bicaptioning_R_50W2X_L1_H1024.pth'),
)


class _FeatureMap(_ResNet):
    """torchvision's ResNet, whose result is the last feature map."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        del self.avgpool, self.fc

    def forward(self, image: _Tensor) -> _Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _build(name: str, weights: str | None, pretrained: bool, net: _FeatureMap) -> _FeatureMap:
    if pretrained and not weights and name not in _PUBLISHED:
        raise _UserError(
            f'{name} has no published weights ({", ".join(_PUBLISHED)} have); name a checkpoint, as in '
            "weights='checkpoint.pth'"
        )
    source = weights or (_PUBLISHED[name] if pretrained else None)
    if source:
        _load_part(net, source)
    return net


def resnet18(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """ResNet-18, the CNN of SOHO's published recipes; no weights are published."""
    return _build('resnet18', weights, pretrained, _FeatureMap(_BasicBlock, [2, 2, 2, 2]))


def resnet34(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """ResNet-34; no weights are published."""
    return _build('resnet34', weights, pretrained, _FeatureMap(_BasicBlock, [3, 4, 6, 3]))


def resnet50(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """ResNet-50; ``pretrained`` is bicaptioning with a textual side of one layer and width 2048."""
    return _build('resnet50', weights, pretrained, _FeatureMap(_Bottleneck, [3, 4, 6, 3]))


def resnet101(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """ResNet-101; ``pretrained`` is bicaptioning with a textual side of one layer and width 1024."""
    return _build('resnet101', weights, pretrained, _FeatureMap(_Bottleneck, [3, 4, 23, 3]))


def resnet152(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """ResNet-152; no weights are published."""
    return _build('resnet152', weights, pretrained, _FeatureMap(_Bottleneck, [3, 8, 36, 3]))


def wide_resnet50_2(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """Wide ResNet-50-2; ``pretrained`` is bicaptioning with a textual side of one layer and width 1024."""
    return _build('wide_resnet50_2', weights, pretrained, _FeatureMap(_Bottleneck, [3, 4, 6, 3], width_per_group=128))


def wide_resnet101_2(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """Wide ResNet-101-2; no weights are published."""
    return _build('wide_resnet101_2', weights, pretrained, _FeatureMap(_Bottleneck, [3, 4, 23, 3], width_per_group=128))
