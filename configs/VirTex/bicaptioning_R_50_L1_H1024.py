"""VirTex, bidirectional captioning, one layer of width 1024: published VOC07 mAP 88.3, ImageNet-1k top-1 53.2.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_50_L1_H1024.py 8

The base of the ablations: 256 images over all GPUs, 500,000 iterations, float16. Not trained in this project; the
outputs of its official checkpoints are reproduced (tools/analysis/parity.py).
Published weights: https://www.dropbox.com/s/pdat4tvhnqxel64/bicaptioning_R_50_L1_H1024.pth?dl=1
Source: kdexd/virtex, configs/width_ablations/bicaptioning_R_50_L1_H1024.yaml.

Differs from the release: a validation scores generated captions and computes no loss, and the loss is a mean over the
tokens of all GPUs.
"""

_base_ = [
    '../_base_/models/virtex.py',
    '../_base_/datasets/coco_captions_virtex.py',
    '../_base_/schedules/virtex.py',
    '../_base_/iteration_runtime.py',
]
env_cfg = dict(cudnn_benchmark=True)  # all images are of one size
sync_bn = False  # as published: each GPU normalises over its own 32 images
default_hooks = dict(checkpoint=dict(save_best='cider', rule='greater'))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50_L1_H1024'
