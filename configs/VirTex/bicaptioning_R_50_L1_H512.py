"""VirTex, bidirectional captioning, one layer of width 512: published VOC07 mAP 88.4, ImageNet-1k top-1 51.8.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_50_L1_H512.py 8

Published weights: https://www.dropbox.com/s/o9fr69jjqfn8a65/bicaptioning_R_50_L1_H512.pth?dl=1
Source: kdexd/virtex, configs/width_ablations/bicaptioning_R_50_L1_H512.yaml.
"""

_base_ = './bicaptioning_R_50_L1_H1024.py'
model = dict(language=dict(hidden_size=512))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50_L1_H512'
