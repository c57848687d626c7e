"""VirTex, bidirectional captioning, three layers of width 1024: published VOC07 mAP 88.7, ImageNet-1k top-1 53.9.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_50_L3_H1024.py 8

Published weights: https://www.dropbox.com/s/5ldo1rcsnrshmjr/bicaptioning_R_50_L3_H1024.pth?dl=1
Source: kdexd/virtex, configs/depth_ablations/bicaptioning_R_50_L3_H1024.yaml.
"""

_base_ = './bicaptioning_R_50_L1_H1024.py'
model = dict(language=dict(num_layers=3))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50_L3_H1024'
