"""SOHO pretraining at the paper's size, in the manner of the released smaller recipe: ResNet-101, 12 layers.

    bash tools/dist_train.sh configs/Pretrain/soho_res101_pre.py 8

The release has no recipe of this size; everything but the size is that of ``soho_res18_pre_corrected.py``, without the
known bugs of the release. The larger recipes of the other tasks begin with its last checkpoint. Estimated cost from the
layers' operations: about 0.9 TFLOP an image and step. Not run.
"""

_base_ = './soho_res18_pre_corrected.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    neck=dict(in_channels=2048),
    language=dict(num_hidden_layers=12),
)
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre'
