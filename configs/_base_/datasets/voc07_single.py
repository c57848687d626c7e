"""Images of PASCAL VOC 2007 with a single class, in ``data/VOCdevkit``: trained on trainval, evaluated on test."""

_base_ = './labels_224.py'
source = dict(type='VOC07', root='{{$IN_OUT_PATH:.}}/data/VOCdevkit/VOC2007', single=True)
load = dict(type='LoadImage')
train_dataloader = dict(
    dataset=dict(source, split='trainval', pipeline=[load, {{_base_.crop}}, {{_base_.flip}}, {{_base_.pack}}])
)
val_dataloader = dict(
    dataset=dict(
        source, split='test', test_mode=True, pipeline=[load, {{_base_.shortest}}, {{_base_.center}}, {{_base_.pack}}]
    )
)
test_dataloader = val_dataloader
