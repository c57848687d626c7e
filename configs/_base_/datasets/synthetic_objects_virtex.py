"""Synthetic data set with the categories of an image's objects as labels; images as for captioning."""

_base_ = './synthetic_captions_virtex.py'
pack = dict(type='PackSample', keys=['image_id', 'label_set'])
source = dict(type='ObjectLabelsDataset', data_root={{_base_.data_root}})
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        ann_file='annotations/instances_train2014.json',
        images='train2014',
        pipeline=[{{_base_.load}}, {{_base_.resize}}, {{_base_.flip}}, pack],
        **source,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        ann_file='annotations/instances_val2014.json',
        images='val2014',
        test_mode=True,
        pipeline=[{{_base_.load}}, {{_base_.resize}}, pack],
        **source,
    )
)
val_evaluator = dict(_delete_=True, type='PretrainMetrics', objectives=('classification',))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
