"""VirTex, bidirectional captioning, one layer of width 768: published VOC07 mAP 88.3, ImageNet-1k top-1 52.3.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_50_L1_H768.py 8

Published weights: https://www.dropbox.com/s/1zxglqrrbfufv9d/bicaptioning_R_50_L1_H768.pth?dl=1
Source: kdexd/virtex, configs/width_ablations/bicaptioning_R_50_L1_H768.yaml.
"""

_base_ = './bicaptioning_R_50_L1_H1024.py'
model = dict(language=dict(hidden_size=768))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50_L1_H768'
