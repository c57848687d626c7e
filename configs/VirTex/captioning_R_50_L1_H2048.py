"""VirTex, forward captioning alone: published VOC07 mAP 88.6, ImageNet-1k top-1 50.8.

    bash tools/dist_train.sh configs/VirTex/captioning_R_50_L1_H2048.py 8

Published weights: https://www.dropbox.com/s/r6zen9k43m5oo58/captioning_R_50_L1_H2048.pth?dl=1
Source: kdexd/virtex, configs/task_ablations/captioning_R_50_L1_H2048.yaml.
"""

_base_ = './bicaptioning_R_50_L1_H1024.py'
model = dict(language=dict(hidden_size=2048, bidirectional=False))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/captioning_R_50_L1_H2048'
