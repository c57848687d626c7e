"""Object detection on PASCAL VOC 07+12 as VirTex's transfer: Faster R-CNN C4, 24,000 iterations, tested on VOC07.

    bash tools/dist_train.sh configs/Transfer/voc07_12_faster_rcnn_c4.py 8 --cfg-options load_from=CHECKPOINT
    bash tools/dist_test.sh configs/Transfer/voc07_12_faster_rcnn_c4.py \
        work_dirs/Transfer/voc07_12_faster_rcnn_c4/iter_24000.pth 8

CHECKPOINT is any checkpoint with a ResNet-50: of this project, official, ``torchvision://resnet50``; without one the
CNN is initialised at random. Data: ``data/VOCdevkit`` with VOC2007 (test annotations included) and VOC2012. Not yet
run at this size. Source: kdexd/virtex, configs/detectron2/voc_det_default_init_24k.yaml.
"""

_base_ = [
    '../_base_/models/faster_rcnn_c4.py',
    '../_base_/datasets/voc_boxes.py',
    '../_base_/schedules/detection_sgd.py',
    '../_base_/iteration_runtime.py',
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=24000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=101),
    dict(type='MultiStepLR', by_epoch=False, milestones=[18000, 22000], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(interval=5000))
load_parts = ['backbone']
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Transfer/voc07_12_faster_rcnn_c4'
