"""VirTex, bidirectional captioning, two layers of width 1024: published VOC07 mAP 88.8, ImageNet-1k top-1 53.8.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_50_L2_H1024.py 8

Published weights: https://www.dropbox.com/s/ft1vtt4okirzjgo/bicaptioning_R_50_L2_H1024.pth?dl=1
Source: kdexd/virtex, configs/depth_ablations/bicaptioning_R_50_L2_H1024.yaml.
"""

_base_ = './bicaptioning_R_50_L1_H1024.py'
model = dict(language=dict(num_layers=2))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50_L2_H1024'
