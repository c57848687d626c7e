"""VirTex, bidirectional captioning, one layer of width 1024: published VOC07 mAP 88.3, ImageNet-1k top-1 53.2.

    bash tools/dist_train.sh configs/VirTex/bicaptioning_R_50_L1_H1024.py 8

256 images over all GPUs, 500,000 iterations, float16. The base of the ablations.
Published weights: https://www.dropbox.com/s/pdat4tvhnqxel64/bicaptioning_R_50_L1_H1024.pth?dl=1
Source: kdexd/virtex, configs/width_ablations/bicaptioning_R_50_L1_H1024.yaml.
"""
_base_ = [
    '../_base_/models/virtex.py', '../_base_/datasets/coco_captions_virtex.py', '../_base_/schedules/virtex.py',
    '../_base_/default_runtime.py'
]
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50_L1_H1024'
