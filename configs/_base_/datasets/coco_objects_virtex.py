"""COCO 2017 objects for VirTex: the labels of an image are the categories of its objects."""

_base_ = './coco_virtex.py'
pack = dict(type='PackSample', keys=['image_id', 'label_set'])
source = dict(type='ObjectLabelsDataset', data_root={{_base_.data_root}})
train_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/instances_train2017.json',
        images='train2017',
        pipeline=[{{_base_.load}}, {{_base_.crop}}, {{_base_.flip}}, {{_base_.jitter}}, pack],
    )
)
val_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/instances_val2017.json',
        images='val2017',
        test_mode=True,
        pipeline=[{{_base_.load}}, {{_base_.shortest}}, {{_base_.center}}, pack],
    )
)
val_evaluator = dict(type='PretrainMetrics', objectives=('classification',))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
