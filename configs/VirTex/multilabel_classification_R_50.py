"""VirTex, classification by the objects of the image: published VOC07 mAP 86.2, ImageNet-1k top-1 46.2.

    bash tools/dist_train.sh configs/VirTex/multilabel_classification_R_50.py 8

Published weights: https://www.dropbox.com/s/hbspp3jv3u8h3bc/multilabel_classification_R_50.pth?dl=1
Source: kdexd/virtex, configs/task_ablations/multilabel_classification_R_50.yaml.
"""

_base_ = [
    '../_base_/models/virtex.py',
    '../_base_/datasets/coco_objects_virtex.py',
    '../_base_/schedules/virtex_labels.py',
    '../_base_/iteration_runtime.py',
]
env_cfg = dict(cudnn_benchmark=True)  # all images are of one size
sync_bn = False  # as published: each GPU normalises over its own 32 images
model = dict(
    language=None,
    heads=dict(
        _delete_=True, classification=dict(type='MultiLabelHead', in_channels=2048, num_classes=81, ignore=(0,))
    ),
)
default_hooks = dict(checkpoint=dict(save_best='loss_classification', rule='less'))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/multilabel_classification_R_50'
