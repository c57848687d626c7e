"""The demo's CNN: colour, texture and shape of single objects, before it sees any sentence.

    make demo        (or: python tools/prepare/objects.py --root data/world/demo
                          python tools/train.py configs/demo/cnn.py)

The published recipes start from a CNN that was trained on the labels of
ImageNet; this is the same step at the demo's size.
"""
_base_ = ['../_base_/schedules/adamw_cosine.py', '../_base_/default_runtime.py']
data_root = '{{$SOHO_WORLD:data/world/demo}}'
model = dict(
    type='VirTex',  # without a textual side: a CNN and heads that look at the image alone
    backbone=dict(type='ResNet', depth=18, num_stages=2, out_indices=(1, ), zero_init_residual=True),
    heads=dict(labels=dict(type='LabelHead', in_channels=128, kinds=dict(category=6, color=8, texture=4))))
pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeKeepRatio', scale=(32, 32)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSample', keys=['labels']),
]
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type='collate', size_divisor=8))
source = dict(
    type='LabelledImages', data_root=data_root, kinds=['category', 'color', 'texture'], pipeline=pipeline)
train_dataloader = dict(
    **loader,
    batch_size=64,
    drop_last=True,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(ann_file='objects_train2014.json', images='objects_train2014', **source))
val_dataloader = dict(
    **loader,
    batch_size=128,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(ann_file='objects_val2014.json', images='objects_val2014', test_mode=True, **source))
val_dataloader['dataset']['pipeline'] = [pipeline[0], pipeline[1], pipeline[3]]
val_evaluator = dict(type='LabelAccuracy')
val_cfg = dict(type='ValLoop')
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(lr=2e-3, weight_decay=0.05))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=5)
param_scheduler = [
    {{_base_.warmup}},
    dict(type='CosineAnnealingLR', T_max=5, eta_min=1e-5, convert_to_iter_based=True),
]
work_dir = 'work_dirs/demo/cnn'
