"""The longer recipe's third stage: the same objectives, and the whole CNN learns at half the transformer's rate.

    python tools/train.py configs/demo/pretrain_long.py

The labels of single objects taught the CNN textures and shapes of large pictures of one object; in a picture of 96
pixels they are smaller, and stay unread while the CNN is nearly frozen. ``pretrain_decay.py`` lets the rate fall.
"""

_base_ = './pretrain_align.py'
model = dict(backbone=dict(frozen_stages=-1, init_cfg=None), language=dict(pretrained=None))
optim_wrapper = dict(paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.5)}))
train_cfg = dict(max_epochs=3)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=7, eta_min=1e-5, convert_to_iter_based=True)]
load_from = 'work_dirs/demo/pretrain_align/epoch_4.pth'
work_dir = 'work_dirs/demo/pretrain_long'
