"""The demo's visual question answering, fine-tuned from the demo's pretraining.

Command: ``make demo``, or ``python tools/train.py configs/demo/vqa.py``
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_questions.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/cpu_runtime.py',
]
model = dict(
    backbone=dict(frozen_stages=1),
    neck=dict(_delete_=True, type='PlainNeck', in_channels=128, pool=2),
    heads=dict(_delete_=True, vqa=dict(type='ClassificationHead', num_classes=42, dropout=0.1)),
)
optim_wrapper = dict(
    constructor='PatternConstructor', paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.2)})
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=8, eta_min=1e-5, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(save_best='accuracy'))
# The published recipe loads all pretrained weights. After one epoch of pretraining the transformer predicts words
# without attending to the image, and learns to attend later than one trained from scratch (78.3 against 80.5 % on the
# test images).
load_parts = ['backbone']
load_from = 'work_dirs/demo/pretrain/epoch_1.pth'
work_dir = 'work_dirs/demo/vqa'
