"""ImageNet-1k (ILSVRC2012): ``train`` and ``val`` below ``data/imagenet``, with one folder per class, or as zips."""

_base_ = './labels_224.py'
data_root = '{{$IN_OUT_PATH:.}}/data/imagenet'
load = dict(type='LoadImage', upright=False)  # like Pillow, which ignores EXIF orientation
train_dataloader = dict(
    dataset=dict(
        type='ImageFolders',
        data_root=data_root,
        images='train',
        pipeline=[load, {{_base_.crop}}, {{_base_.flip}}, {{_base_.pack}}],
    )
)
val_dataloader = dict(
    dataset=dict(
        type='ImageFolders',
        data_root=data_root,
        images='val',
        test_mode=True,
        pipeline=[load, {{_base_.shortest}}, {{_base_.center}}, {{_base_.pack}}],
    )
)
test_dataloader = val_dataloader
