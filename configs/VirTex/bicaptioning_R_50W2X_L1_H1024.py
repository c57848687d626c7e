"""VirTex, bidirectional captioning with a wide ResNet-50-2: published VOC07 mAP 88.5, ImageNet-1k top-1 52.9.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_50W2X_L1_H1024.py 8

Published weights: https://www.dropbox.com/s/5o198ux709r6376/bicaptioning_R_50W2X_L1_H1024.pth?dl=1
Source: kdexd/virtex, configs/backbone_ablations/bicaptioning_R_50W2X_L1_H1024.yaml.
"""

_base_ = './bicaptioning_R_50_L1_H1024.py'
model = dict(backbone=dict(width_per_group=128))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50W2X_L1_H1024'
