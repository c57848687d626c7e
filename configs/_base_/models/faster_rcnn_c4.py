"""Faster R-CNN on the fourth stage of a ResNet-50; regions go through the fifth and an extra batch-norm.

Nothing is frozen. Source: kdexd/virtex, configs/detectron2/_base_faster_rcnn_R_50_C4_BN.yaml.
"""

model = dict(
    type='Detector',
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    backbone=dict(type='ResNet', depth=50, out_indices=(2,)),
    region_stage='layer4',
    rpn=dict(
        type='RPN',
        in_channels=1024,
        sizes=((32, 64, 128, 256, 512),),
        strides=(16,),
        candidates=(12000, 6000),
        proposals=(2000, 1000),
    ),
    regions=dict(
        type='RegionHeads', num_classes=20, size=14, strides=(16,), box_head=dict(type='NormBoxHead', in_channels=2048)
    ),
)
