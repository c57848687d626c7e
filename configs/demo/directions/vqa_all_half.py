"""``vqa_all.py`` in half the steps, over which the rate falls as far.

python tools/train.py configs/demo/directions/vqa_all_half.py
"""

_base_ = './vqa_all.py'
train_cfg = dict(max_iters=499, val_interval=499)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=499, eta_min=1e-5, by_epoch=False)]
