"""SOHO pretraining at the paper's size, in the manner of the released smaller recipe: ResNet-101, 12 layers.

    bash tools/dist_train.sh configs/Pretrain/soho_res101_pre.py 8

The release has no recipe of this size; everything but the size is that of ``soho_res18_pre_corrected.py``, without the
known bugs of the release. The larger recipes of the other tasks begin with its last checkpoint.

Computed cost, not run: 0.72 TFLOP a group of four captions and training step, three times the forward pass that
``tools/analysis/get_flops.py`` counts at 800x600; 1.6 million groups an epoch, of which 1.35 are of Visual Genome's 5.4
million regions; 46 EFLOP for the run: five days of one H100 at 100 TFLOP/s, 16 hours of eight, and 64 hours of
eight V100 at an assumed 25 TFLOP/s. Pretraining itself has no published score.
"""

_base_ = './soho_res18_pre_corrected.py'
model = dict(
    backbone=dict(depth=101, init_cfg=dict(checkpoint='torchvision://resnet101')),
    neck=dict(in_channels=2048),
    language=dict(num_hidden_layers=12),
)
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre'
