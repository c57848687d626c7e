"""The demo's visual question answering, fine-tuned from all pretrained weights, as published.

Command: ``make demo``, or ``python tools/train.py configs/demo/vqa.py``
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_questions.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/cpu_runtime.py',
]
# The dictionary stays, so that the transformer goes on reading the visual tokens that it was pretrained on.
model = dict(
    backbone=dict(frozen_stages=1),
    heads=dict(_delete_=True, vqa=dict(type='ClassificationHead', num_classes=42, dropout=0.1)),
)
optim_wrapper = dict(
    constructor='PatternConstructor', paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.2)})
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=4, eta_min=1e-5, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(save_best='accuracy'))
load_from = 'work_dirs/demo/pretrain/iter_500.pth'
work_dir = 'work_dirs/demo/vqa'
