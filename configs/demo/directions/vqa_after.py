"""What follows each short pretraining: ``vqa_all.py`` in a quarter of the steps.

    python tools/train.py configs/demo/directions/vqa_after.py

``demo/run_directions.py`` gives it the weights, the CNN and the neck of each.
"""

_base_ = './vqa_all.py'
train_cfg = dict(max_iters=250, val_interval=250)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=250, eta_min=1e-5, by_epoch=False)]
