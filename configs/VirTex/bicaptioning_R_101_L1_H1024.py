"""VirTex, bidirectional captioning with a ResNet-101: published VOC07 mAP 88.7, ImageNet-1k top-1 52.1.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_101_L1_H1024.py 8

Published weights: https://www.dropbox.com/s/bb74jubt68cpn80/bicaptioning_R_101_L1_H1024.pth?dl=1
Source: kdexd/virtex, configs/backbone_ablations/bicaptioning_R_101_L1_H1024.yaml.
"""

_base_ = './bicaptioning_R_50_L1_H1024.py'
model = dict(backbone=dict(depth=101))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_101_L1_H1024'
