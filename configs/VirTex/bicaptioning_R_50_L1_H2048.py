"""VirTex, bidirectional captioning, one layer of width 2048: published VOC07 mAP 88.7, ImageNet-1k top-1 53.8.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_50_L1_H2048.py 8

The best of the published models.
Published weights: https://www.dropbox.com/s/mbeeso8wyieq8wy/bicaptioning_R_50_L1_H2048.pth?dl=1
Source: kdexd/virtex, configs/width_ablations/bicaptioning_R_50_L1_H2048.yaml.
"""

_base_ = './bicaptioning_R_50_L1_H1024.py'
model = dict(language=dict(hidden_size=2048))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50_L1_H2048'
