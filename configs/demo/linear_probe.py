"""Linear classification of single objects on a frozen CNN, by default the one trained by captioning.

    python tools/prepare/object_crops.py --root data/synthetic/demo
    python tools/train.py configs/demo/linear_probe.py
        [--cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT | model.backbone.init_cfg=None]

A minute on two CPU cores. CHECKPOINT is any checkpoint with such a CNN; ``init_cfg=None`` is a random one. For another
architecture change ``model.backbone`` and the input channels of the classifier.
"""

_base_ = ['../_base_/datasets/synthetic_objects.py', '../_base_/default_runtime.py']
checkpoint = 'work_dirs/demo/captioning/iter_8000.pth'
model = dict(
    type='VirTex',
    frozen_backbone=True,
    backbone=dict(
        type='ResNet', depth=18, num_stages=3, out_indices=(2,), init_cfg=dict(type='Pretrained', checkpoint=checkpoint)
    ),
    heads=dict(
        labels=dict(
            type='MultiAttributeHead',
            in_channels=256,
            attributes=dict(category=6, color=8, texture=4),
            init_cfg=dict(type='Normal', layer='Linear', std=0.01),
        )
    ),
)
# Objects at the same scale as in the images of the captions.
pipeline, test_pipeline = _base_.pipeline, _base_.test_pipeline
pipeline[1].scale = test_pipeline[1].scale = (40, 40)
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=5)
param_scheduler = dict(type='CosineAnnealingLR', T_max=5, convert_to_iter_based=True)
work_dir = 'work_dirs/demo/linear_probe'
