"""SOHO on GQA at the size of the paper's models, in the manner of LXMERT: ResNet-101, 12 layers.

    bash tools/dist_train.sh configs/GQA/soho_res101_gqa.py 8

The paper does not have this task. Cost, estimated from the layers' operations: 1.8 TFLOP an image with four questions
and training step, 490 PFLOP an epoch, about seven hours of one H100 for the run at 100 TFLOP/s. Not run.
"""

_base_ = './soho_res18_gqa.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    neck=dict(in_channels=2048),
    language=dict(num_hidden_layers=12),
)
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/GQA/soho_res101_gqa'
