"""Crops of the synthetic data set's objects with their labels, at a size for training on a laptop.

The crops are made by ``tools/prepare/object_crops.py``.
"""

data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}'
pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeKeepRatio', scale=(32, 32)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSample', keys=['attribute_labels']),
]
test_pipeline = [pipeline[0], pipeline[1], pipeline[3]]
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type='collate', size_divisor=8))
source = dict(type='LabeledImages', data_root=data_root, attributes=['category', 'color', 'texture'])
train_dataloader = dict(
    **loader,
    batch_size=64,
    drop_last=True,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(source, ann_file='objects_train2014.json', images='objects_train2014', pipeline=pipeline),
)
val_dataloader = dict(
    **loader,
    batch_size=128,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        source, ann_file='objects_val2014.json', images='objects_val2014', test_mode=True, pipeline=test_pipeline
    ),
)
val_evaluator = dict(type='AttributeAccuracy')
val_cfg = dict(type='ValLoop')
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict(type='TestLoop')
