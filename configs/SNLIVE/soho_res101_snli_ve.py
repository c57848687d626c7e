"""SOHO on SNLI-VE at the paper's size, in the manner of Pixel-BERT's other tasks: ResNet-101, 12 layers.

    bash tools/dist_train.sh configs/SNLIVE/soho_res101_snli_ve.py 8

Published (SOHO, CVPR 2021; not reproduced here): val 85.00, test 84.95. Estimated cost: 1.1 TFLOP a group of six
hypotheses and training step, 0.1 EFLOP an epoch, about two and a half hours of one H100 for the run at 100 TFLOP/s.
Not run. Beside the score belongs that of ``soho_res101_snli_ve_blind.py``, the same model without the image.
"""

_base_ = './soho_res18_snli_ve.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    neck=dict(in_channels=2048),
    language=dict(num_hidden_layers=12),
)
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/SNLIVE/soho_res101_snli_ve'
