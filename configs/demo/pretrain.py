"""The demo's pretraining: MLM + MVM + ITM on captions of the generated world.

    make demo        (or: python tools/train.py configs/demo/pretrain.py)
"""
_base_ = [
    '../_base_/models/soho_small.py', '../_base_/datasets/world_captions.py', '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py'
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=2)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=2, eta_min=1e-4, convert_to_iter_based=True)]
work_dir = 'work_dirs/demo/pretrain'
