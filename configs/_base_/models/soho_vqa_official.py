"""SOHO for visual question answering with the valid-area mask that official checkpoints were trained with."""

_base_ = './soho_vqa.py'
model = dict(neck=dict(square_mask=True))
