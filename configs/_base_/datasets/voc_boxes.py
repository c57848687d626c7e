"""PASCAL VOC: trained on 2007 and 2012 trainval, short edge 480 to 800, flips; tested on 2007 test at 800."""

data_root = '{{$IN_OUT_PATH:.}}/data/VOCdevkit'
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='RandomResizeShortEdge',
        short_edges=(480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800),
        long_edge=1333,
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PlaceObjects'),
    dict(type='PackSample', keys=['boxes', 'box_labels']),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResizeShortEdge', short_edges=(800,), long_edge=1333),
    dict(type='PackSample', keys=['image_id', 'full_size']),
]
loader = dict(num_workers=4, persistent_workers=True, pin_memory=True, collate_fn=dict(type='collate', size_divisor=32))
source = dict(type='VOCDetection', data_root=data_root)
train_dataloader = dict(
    **loader,
    batch_size=2,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler', drop_last=True),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(
                source,
                ann_file='VOC2007/ImageSets/Main/trainval.txt',
                images='VOC2007/JPEGImages',
                pipeline=train_pipeline,
            ),
            dict(
                source,
                ann_file='VOC2012/ImageSets/Main/trainval.txt',
                images='VOC2012/JPEGImages',
                pipeline=train_pipeline,
            ),
        ],
    ),
)
test_dataloader = dict(
    **loader,
    batch_size=1,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        source,
        ann_file='VOC2007/ImageSets/Main/test.txt',
        images='VOC2007/JPEGImages',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type='VOCAP', image_set=data_root + '/VOC2007/ImageSets/Main/test.txt')
test_cfg = dict(type='TestLoop')
