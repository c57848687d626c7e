"""VirTex, classification by the tokens of the caption: published VOC07 mAP 88.8, ImageNet-1k top-1 48.6.

    bash tools/dist_train.sh configs/VirTex/token_classification_R_50.py 8

Published weights: https://www.dropbox.com/s/o4p9lki505r0mef/token_classification_R_50.pth?dl=1
Source: kdexd/virtex, configs/task_ablations/token_classification_R_50.yaml.
"""

_base_ = [
    '../_base_/models/virtex.py',
    '../_base_/datasets/coco_tokens_virtex.py',
    '../_base_/schedules/virtex_labels.py',
    '../_base_/iteration_runtime.py',
]
env_cfg = dict(cudnn_benchmark=True)  # all images are of one size
sync_bn = False  # as published: each GPU normalises over its own 32 images
model = dict(
    language=None,
    heads=dict(
        _delete_=True,
        classification=dict(type='MultiLabelHead', in_channels=2048, num_classes=10000, ignore=(0, 1, 2, 3)),
    ),
)
default_hooks = dict(checkpoint=dict(save_best='loss_classification', rule='less'))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/token_classification_R_50'
