"""The longer recipe's CNN, pretrained to classify colour, texture and shape of single objects.

    python tools/prepare/object_crops.py --root data/synthetic/demo
    python tools/train.py configs/demo/cnn.py

The published recipes start from a CNN that was trained on the labels of
ImageNet; this is the same step at the demo's size.
"""

_base_ = ['../_base_/datasets/synthetic_objects.py', '../_base_/schedules/adamw_cosine.py', '../_base_/cpu_runtime.py']
model = dict(
    type='VirTex',  # without a language model: a CNN and heads on the image alone
    backbone=dict(type='ResNet', depth=18, num_stages=2, out_indices=(1,), zero_init_residual=True),
    heads=dict(
        labels=dict(type='MultiAttributeHead', in_channels=128, attributes=dict(category=6, color=8, texture=4))
    ),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=0.05))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=5)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=5, eta_min=1e-5, convert_to_iter_based=True)]
work_dir = 'work_dirs/demo/cnn'
