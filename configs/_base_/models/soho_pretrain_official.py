"""SOHO for pretraining with every behaviour of the official code that changes numbers.

Official checkpoints were trained so. Each switch says at its part what it
does and why the default differs; ``configs/Pretrain/soho_res18_pre_corrected.py``
turns them all off for training of one's own.
"""

_base_ = './soho_pretrain.py'
model = dict(
    backbone=dict(cp_updates_bn_twice=True),
    neck=dict(
        square_mask=True,
        shared_cell=True,
        count_padding=True,
        count_sentences=True,
        dictionary=dict(unused_words='zero'),
    ),
)
