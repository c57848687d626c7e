"""Mask R-CNN on the feature pyramid of a ResNet-50, with batch-norm in backbone and pyramid; nothing is frozen.

Source: kdexd/virtex, configs/detectron2/_base_mask_rcnn_R_50_FPN.yaml.
"""

model = dict(
    type='Detector',
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    backbone=dict(type='ResNet', depth=50, out_indices=(0, 1, 2, 3)),
    neck=dict(type='FPN', in_channels=(256, 512, 1024, 2048), out_channels=256),
    rpn=dict(type='RPN', in_channels=256),
    regions=dict(
        type='RegionHeads',
        num_classes=80,
        box_head=dict(type='FCBoxHead', in_channels=256),
        mask_head=dict(type='MaskHead', in_channels=256),
    ),
)
