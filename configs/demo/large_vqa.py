"""VQA on the large synthetic data set (80,000 images), for one GPU. Not yet run.

Commands::

    python tools/prepare/vqa.py --root data/synthetic/large
    SOHO_SYNTHETIC=data/synthetic/large python tools/train.py configs/demo/large_vqa.py
"""

_base_ = [
    '../_base_/models/soho_vqa.py',
    '../_base_/datasets/synthetic_questions.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]
scale = (320, 240)
model = dict(
    backbone=dict(frozen_stages=-1, zero_init_residual=True, init_cfg=None),
    neck=dict(pool=1),
    language=dict(pretrained=None, vocab_size=512),
    heads=dict(vqa=dict(num_classes=42)),
)
pipeline = _base_.pipeline
pipeline[0].reduce_to = scale
pipeline[1].scale = scale
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    collate_fn=dict(size_divisor=32),
    dataset=dict(pipeline=pipeline),
)
val_dataloader = dict(batch_size=64, num_workers=4, collate_fn=dict(size_divisor=32), dataset=dict(pipeline=pipeline))
test_dataloader = dict(batch_size=64, num_workers=4, collate_fn=dict(size_divisor=32), dataset=dict(pipeline=pipeline))
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=1000),
    dict(type='CosineAnnealingLR', T_max=10, eta_min=1e-6, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='accuracy'))
load_from = 'work_dirs/demo/large_pretrain/epoch_10.pth'
