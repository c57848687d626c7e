"""SOHO for visual question answering: the plain neck and a classifier over 3,129 answers, as published."""

_base_ = './soho_pretrain.py'
model = dict(
    neck=dict(_delete_=True, type='PlainNeck', in_channels=512),
    heads=dict(_delete_=True, vqa=dict(type='ClassificationHead', num_classes=3129)),
)
