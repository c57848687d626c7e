"""The longer recipe's second round: six more passes, in which the rate rises once more and falls to nearly zero.

    python tools/train.py configs/demo/pretrain_again.py
    python tools/analysis/pretraining.py configs/demo/pretrain_again.py work_dirs/demo/pretrain_again/epoch_6.pth \\
        --language work_dirs/demo/language/epoch_3.pth

The first round took the CNN from large pictures of single objects to small ones in a scene, and most of what it learnt
of them came last. Its weights, which fit together now, learn more of the same captions in a second round.
"""

_base_ = './pretrain_decay.py'
optim_wrapper = dict(optimizer=dict(lr=4e-4))
train_cfg = dict(max_epochs=6)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=6, eta_min=1e-5, convert_to_iter_based=True)]
load_from = 'work_dirs/demo/pretrain_decay/epoch_1.pth'
work_dir = 'work_dirs/demo/pretrain_again'
