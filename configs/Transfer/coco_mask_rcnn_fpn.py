"""Instance segmentation on COCO as VirTex's transfer: Mask R-CNN R50-FPN, 180,000 iterations (2x).

    bash tools/dist_train.sh configs/Transfer/coco_mask_rcnn_fpn.py 8 --cfg-options load_from=CHECKPOINT
    bash tools/dist_test.sh configs/Transfer/coco_mask_rcnn_fpn.py \
        work_dirs/Transfer/coco_mask_rcnn_fpn/iter_180000.pth 8 --out results.json

CHECKPOINT is any checkpoint with a ResNet-50: of this project, official, ``torchvision://resnet50``; without one the
CNN is initialised at random. Published for VirTex: box AP 40.9 (AP50 61.7, AP75 44.8), mask AP 36.9 (58.4, 39.7).
Not yet run at this size. Source: kdexd/virtex, configs/detectron2/coco_segm_default_init_2x.yaml.
"""

_base_ = [
    '../_base_/models/mask_rcnn_fpn.py',
    '../_base_/datasets/coco_instances.py',
    '../_base_/schedules/detection_sgd.py',
    '../_base_/iteration_runtime.py',
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=180000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type='MultiStepLR', by_epoch=False, milestones=[120000, 160000], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(interval=5000))
load_parts = ['backbone']
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Transfer/coco_mask_rcnn_fpn'
