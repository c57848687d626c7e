"""COCO 2017 with boxes and masks: 16 images over eight GPUs, short edge 640 to 800, flips; tested at 800."""

data_root = '{{$IN_OUT_PATH:.}}/data/coco'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResizeShortEdge', short_edges=(640, 672, 704, 736, 768, 800), long_edge=1333),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PlaceObjects'),
    dict(type='PackSample', keys=['boxes', 'box_labels', 'mask_edges']),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResizeShortEdge', short_edges=(800,), long_edge=1333),
    dict(type='PackSample', keys=['image_id', 'full_size']),
]
loader = dict(num_workers=4, persistent_workers=True, pin_memory=True, collate_fn=dict(type='collate', size_divisor=32))
train_dataloader = dict(
    **loader,
    batch_size=2,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler', drop_last=True),
    dataset=dict(
        type='CocoDetection',
        data_root=data_root,
        ann_file='annotations/instances_train2017.json',
        images='train2017',
        pipeline=train_pipeline,
    ),
)
test_dataloader = dict(
    **loader,
    batch_size=1,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='CocoDetection',
        data_root=data_root,
        ann_file='annotations/instances_val2017.json',
        images='val2017',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type='CocoAP', annotation_file=data_root + '/annotations/instances_val2017.json')
test_cfg = dict(type='TestLoop')
