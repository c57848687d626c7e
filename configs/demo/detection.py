"""Detection and segmentation on the synthetic data set, as a transfer task for pretrained CNNs.

    python tools/train.py configs/demo/detection.py --cfg-options load_from=CHECKPOINT

CHECKPOINT is any checkpoint with a ResNet-18 of three stages; without one the CNN is initialised at random. Box and
mask AP on the 300 images of val2014, seed 0, two CPU cores: from random weights 21.3 and 13.7, from a CNN trained for
three epochs to classify objects (``configs/demo/cnn.py`` with three stages) 53.9 and 36.4. With longer training the
initialisation matters less: 1,000 iterations from random weights reach 74.3 and 63.4.
"""

_base_ = ['../_base_/schedules/adamw_cosine.py', '../_base_/iteration_runtime.py']
data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}'
model = dict(
    type='Detector',
    backbone=dict(type='ResNet', depth=18, num_stages=3, out_indices=(1, 2), zero_init_residual=True),
    neck=dict(type='FPN', in_channels=(128, 256), out_channels=64),
    rpn=dict(
        type='RPN',
        in_channels=64,
        sizes=((24,), (48,), (96,)),
        strides=(8, 16, 32),
        candidates=(200, 100),
        proposals=(100, 50),
        samples=64,
    ),
    regions=dict(
        type='RegionHeads',
        num_classes=6,
        strides=(8, 16),
        samples=32,
        box_head=dict(type='FCBoxHead', in_channels=64, channels=128),
        mask_head=dict(type='MaskHead', in_channels=64, channels=32, convs=2, size=7),
    ),
)
scale = (192, 144)
pipeline = [
    dict(type='LoadImage', reduce_to=scale),
    dict(type='ResizeKeepRatio', scale=scale),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PlaceObjects'),
    dict(type='PackSample', keys=['boxes', 'box_labels', 'mask_edges']),
]
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type='collate', size_divisor=32))
source = dict(type='CocoDetection', data_root=data_root)
train_dataloader = dict(
    **loader,
    batch_size=8,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler', drop_last=True),
    dataset=dict(source, ann_file='annotations/instances_train2014.json', images='train2014', pipeline=pipeline),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        source,
        ann_file='annotations/instances_val2014.json',
        images='val2014',
        test_mode=True,
        pipeline=[pipeline[0], pipeline[1], dict(type='PackSample', keys=['image_id', 'full_size'])],
    ),
)
val_evaluator = dict(type='CocoAP', annotation_file=data_root + '/annotations/instances_val2014.json')
val_cfg = dict(type='ValLoop')
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict(type='TestLoop')
train_cfg = dict(type='IterBasedTrainLoop', max_iters=300, val_interval=300)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=300, eta_min=1e-6, by_epoch=False)]
default_hooks = dict(checkpoint=dict(save_best='bbox_AP', rule='greater'))
load_parts = ['backbone']
work_dir = 'work_dirs/demo/detection'
