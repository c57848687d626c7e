"""SOHO for image-text retrieval at the paper's larger size: ResNet-101 and 12 layers."""

_base_ = './soho_retrieval.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    neck=dict(in_channels=2048),
    language=dict(num_hidden_layers=12),
)
