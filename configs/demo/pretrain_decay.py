"""The longer recipe's fourth stage: one pass in which the rate falls to nearly zero. ``pretrain_again.py`` goes on.

    python tools/train.py configs/demo/pretrain_decay.py
    python tools/analysis/pretraining.py configs/demo/pretrain_decay.py work_dirs/demo/pretrain_decay/epoch_1.pth \\
        --language work_dirs/demo/language/epoch_3.pth
"""

_base_ = './pretrain_long.py'
optim_wrapper = dict(optimizer=dict(lr=3e-4))
train_cfg = dict(max_epochs=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=1, eta_min=1e-5, convert_to_iter_based=True)]
load_from = 'work_dirs/demo/pretrain_long/epoch_3.pth'
work_dir = 'work_dirs/demo/pretrain_decay'
