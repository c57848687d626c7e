"""SOHO on NLVR2 at the paper's size, in the manner of Pixel-BERT: ResNet-101, 12 layers.

    bash tools/dist_train.sh configs/NLVR2/soho_res101_nlvr2.py 8

Published (SOHO, CVPR 2021, table of results; not reproduced here): dev 76.37, test-P 77.32. Cost, estimated from the
layers' operations: 0.9 TFLOP an image and training step, 155 PFLOP an epoch, about nine hours of one H100 for the run
at 100 TFLOP/s. Not run.
"""

_base_ = './soho_res18_nlvr2.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    neck=dict(in_channels=2048),
    language=dict(num_hidden_layers=12),
)
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/NLVR2/soho_res101_nlvr2'
