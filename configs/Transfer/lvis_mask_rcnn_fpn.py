"""Instance segmentation on LVIS v1 as VirTex's transfer: 1,203 categories, rare ones repeated, 180,000 iterations.

    bash tools/dist_train.sh configs/Transfer/lvis_mask_rcnn_fpn.py 8 --cfg-options load_from=CHECKPOINT

Differs from COCO's recipe in the data, the number of classes and the detections that are kept: up to 300 per image,
from a score of 0.0001. The published ImageNet-supervised baseline freezes the batch-norm statistics of the backbone
(``model.backbone.norm_eval=True``) and has no batch-norm in the pyramid. Not yet run at this size.
Source: kdexd/virtex, configs/detectron2/lvis_segm_default_init_2x.yaml.
"""

_base_ = [
    '../_base_/models/mask_rcnn_fpn.py',
    '../_base_/datasets/lvis_instances.py',
    '../_base_/schedules/detection_sgd.py',
    '../_base_/iteration_runtime.py',
]
model = dict(regions=dict(num_classes=1203, score_threshold=0.0001, max_detections=300))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=180000)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1001),
    dict(type='MultiStepLR', by_epoch=False, milestones=[120000, 160000], gamma=0.1),
]
default_hooks = dict(checkpoint=dict(interval=5000))
load_parts = ['backbone']
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Transfer/lvis_mask_rcnn_fpn'
