"""SOHO for pretraining with all behaviour of the official code that affects results, known bugs included.

Official checkpoints were trained with it. Each switch is documented in its
class; ``configs/Pretrain/soho_res18_pre_corrected.py`` turns all of them off
for new training.
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
