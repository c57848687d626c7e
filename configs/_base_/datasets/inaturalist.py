"""iNaturalist 2018: ``train2018.json`` and ``val2018.json`` in ``annotations``, images in ``train_val2018``."""

_base_ = './labels_224.py'
source = dict(type='INaturalist', data_root='{{$IN_OUT_PATH:.}}/data/inaturalist', images='train_val2018')
load = dict(type='LoadImage')
train_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/train2018.json',
        pipeline=[load, {{_base_.crop}}, {{_base_.flip}}, {{_base_.pack}}],
    )
)
val_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/val2018.json',
        test_mode=True,
        pipeline=[load, {{_base_.shortest}}, {{_base_.center}}, {{_base_.pack}}],
    )
)
test_dataloader = val_dataloader
