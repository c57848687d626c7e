"""SOHO on VQA v2 at the paper's size, in the manner of the released smaller recipe: ResNet-101, 12 layers.

    bash tools/dist_train.sh configs/VQA/soho_res101_vqa.py 8

Published (SOHO, CVPR 2021; not reproduced here): test-dev 73.25, test-std 73.47. The release has no recipe of this
size; everything but the size is that of ``soho_res18_vqa_corrected.py``. Computed cost, not run: 0.53
TFLOP a question and training step, three times the forward pass that ``tools/analysis/get_flops.py`` counts at the mean
of the scales; 658,111 questions an epoch, 7 EFLOP for the run: 39 hours of one H100 at 50 TFLOP/s of float32, or half
of that with ``--amp`` at 100, five of eight, and 30 hours of eight V100 at an assumed 8 TFLOP/s of float32.
"""

_base_ = './soho_res18_vqa_corrected.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    neck=dict(in_channels=2048),
    language=dict(num_hidden_layers=12),
)
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VQA/soho_res101_vqa'
