"""Statements about two pictures of the synthetic data set, fine-tuned from the model of questions that ships.

export SOHO_SYNTHETIC=data/synthetic/demo                              # what make demo has generated
python tools/prepare/synthetic.py --size demo --also nlvr2
python tools/train.py configs/demo/nlvr2.py
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_nlvr2.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(frozen_stages=1),
    neck=dict(_delete_=True, type='PlainNeck', in_channels=128, pool=2),
    heads=dict(
        _delete_=True, nlvr2=dict(type='ClassificationHead', num_classes=2, loss='ce', num_images=2, dropout=0.1)
    ),
)
optim_wrapper = dict(
    constructor='PatternConstructor', paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.2)})
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=2, eta_min=1e-5, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(save_best='accuracy'))
custom_hooks = [dict(type='ChanceLossHook', head='nlvr2', after=800, window=400)]
load_from = 'resources/models/soho_vqa_synthetic/model.safetensors'
work_dir = 'work_dirs/demo/nlvr2'
