"""CNNs learnt from captions, for ``torch.hub.load``.

    torch.hub.load(REPO, 'resnet50', weights='https://... or a local file')
    torch.hub.load(REPO, 'resnet50', pretrained=True)

Each gives a ResNet with torchvision's names, without pooling and classifier:
(B, 3, H, W) normalised images to (B, 2048, H / 32, W / 32) features. Weights
may be any checkpoint that holds such a ResNet: of this project, official
VirTex (whole or its CNN alone), torchvision.
"""

from torch import Tensor as _Tensor

import soho.engine  # noqa: F401  (reads every checkpoint without running code)
from soho.engine.checkpoint.load import load_part as _load_part
from soho.models.backbones import ResNet as _ResNet

dependencies = [
    'PIL',
    'cv2',
    'mmcv',
    'mmengine',
    'numpy',
    'pycocotools',
    'safetensors',
    'tokenizers',
    'torch',
    'torchvision',
    'transformers',
]

# Published weights of the official VirTex release, trained on COCO Captions.
_URL = 'https://www.dropbox.com/s/{}?dl=1'
_PUBLISHED = dict(
    resnet50=_URL.format('mbeeso8wyieq8wy/bicaptioning_R_50_L1_H2048.pth'),
    resnet101=_URL.format('bb74jubt68cpn80/bicaptioning_R_101_L1_H1024.pth'),
    wide_resnet50_2=_URL.format('5o198ux709r6376/bicaptioning_R_50W2X_L1_H1024.pth'),
)


class _FeatureMap(_ResNet):
    """The last feature map itself, where the backbone of a model gives a tuple of maps."""

    def forward(self, image: _Tensor) -> _Tensor:
        return super().forward(image)[-1]


def _build(name: str, weights: str | None, pretrained: bool, **config) -> _FeatureMap:
    net = _FeatureMap(**config)
    source = weights or (_PUBLISHED[name] if pretrained else None)
    if source:
        _load_part(net, source)
    return net


def resnet50(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """ResNet-50; ``pretrained`` is bicaptioning with a textual side of one layer and width 2048."""
    return _build('resnet50', weights, pretrained, depth=50)


def resnet101(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """ResNet-101; ``pretrained`` is bicaptioning with a textual side of one layer and width 1024."""
    return _build('resnet101', weights, pretrained, depth=101)


def wide_resnet50_2(weights: str | None = None, pretrained: bool = False) -> _FeatureMap:
    """Wide ResNet-50-2; ``pretrained`` is bicaptioning with a textual side of one layer and width 1024."""
    return _build('wide_resnet50_2', weights, pretrained, depth=50, width_per_group=128)
