"""Baseline of captioning on the synthetic data set: the same CNN and budget, trained on the object categories.

Command: ``python tools/train.py configs/demo/object_labels.py``
"""

_base_ = [
    '../_base_/models/virtex.py',
    '../_base_/datasets/synthetic_objects_virtex.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/iteration_runtime.py',
]
model = dict(
    backbone=dict(depth=18, num_stages=3, out_indices=(2,)),
    language=None,
    heads=dict(_delete_=True, classification=dict(type='MultiLabelHead', in_channels=256, num_classes=7, top_k=3)),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000, val_interval=1000)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=4000, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(save_best='loss_classification', rule='less'))
work_dir = 'work_dirs/demo/object_labels'
