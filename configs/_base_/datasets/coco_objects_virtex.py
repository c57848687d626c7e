"""COCO 2017 objects for VirTex: the categories of an image's objects are its labels."""
_base_ = './coco_virtex.py'
train_dataloader = dict(
    dataset=dict(
        type='ObjectLabelsDataset',
        data_root={{_base_.data_root}},
        ann_file='annotations/instances_train2017.json',
        images='train2017',
        pipeline=[{{_base_.load}}, {{_base_.crop}}, {{_base_.flip}}, {{_base_.jitter}},
                  dict(type='PackSample', keys=['image_id', 'labels'])]))
val_dataloader = None
