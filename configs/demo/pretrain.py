"""The demo's pretraining: MLM + MVM + ITM on captions of the generated world.

    make demo        (or: python tools/train.py configs/demo/pretrain.py)
"""
_base_ = [
    '../_base_/models/soho_small.py', '../_base_/datasets/world_captions.py', '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py'
]
# What the CNN has learnt is refined, not overwritten.
optim_wrapper = dict(
    constructor='PatternConstructor', paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.1)}))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=1, eta_min=1e-4, convert_to_iter_based=True)]
load_from = 'work_dirs/demo/cnn/epoch_5.pth'
work_dir = 'work_dirs/demo/pretrain'
