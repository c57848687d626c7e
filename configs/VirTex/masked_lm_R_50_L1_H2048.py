"""VirTex, masked language modelling: published VOC07 mAP 86.4, ImageNet-1k top-1 46.7.

    bash tools/dist_train.sh configs/VirTex/masked_lm_R_50_L1_H2048.py 8

Published weights: https://www.dropbox.com/s/ldzrk6vem4mg6bl/masked_lm_R_50_L1_H2048.pth?dl=1
Source: kdexd/virtex, configs/task_ablations/masked_lm_R_50_L1_H2048.yaml.
"""

_base_ = [
    '../_base_/models/virtex.py',
    '../_base_/datasets/coco_masked_captions_virtex.py',
    '../_base_/schedules/virtex.py',
    '../_base_/iteration_runtime.py',
]
env_cfg = dict(cudnn_benchmark=True)  # all images are of one size
sync_bn = False  # as published: each GPU normalises over its own 32 images
model = dict(
    language=dict(hidden_size=2048, bidirectional=False, causal=False),
    heads=dict(_delete_=True, mlm=dict(type='MaskedCaptionHead')),
)
default_hooks = dict(checkpoint=dict(save_best='loss_mlm', rule='less'))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/masked_lm_R_50_L1_H2048'
