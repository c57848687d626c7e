"""SOHO pretraining as published: ResNet-18, 3 layers, COCO + Visual Genome, 40 epochs.

    bash tools/dist_train.sh configs/Pretrain/soho_res18_pre.py 8

16 images x 4 sentences per GPU, float16, gradients accumulated over two iterations.
Source: researchmm/soho, configs/Pretrain/soho_res18_pre.py.

Differs from the release: losses are means over the targets of all GPUs, where the release averages the means of each
GPU; each step's batches share one orientation, and short groups of captions are filled anew in every epoch
(``OfficialBatchSampler`` and ``fill_seed`` do as the release).

Computed cost, not run: 0.17 TFLOP a group of four captions and training step, three times the forward pass that
``tools/analysis/get_flops.py`` counts at 800x600; 1.6 million groups an epoch, of which 1.35 are of Visual Genome's 5.4
million regions; 11 EFLOP for the run: 31 hours of one H100 at 100 TFLOP/s, four of eight, and 16 hours of eight V100 at
an assumed 25 TFLOP/s. Pretraining itself has no published score.
"""

_base_ = [
    '../_base_/models/soho_pretrain_official.py',
    '../_base_/datasets/coco_vg_pretrain.py',
    '../_base_/schedules/adamw_sgd.py',
    '../_base_/default_runtime.py',
]
sync_bn = ['neck']  # as published: the CNN normalises over the images of each GPU
optim_wrapper = dict(type='AmpOptimWrapper', dtype='float16', loss_scale=dict(max_scale=128.0))
param_scheduler = [{{_base_.warmup}}, dict(type='MultiStepLR', milestones=[25, 35], gamma=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=40)
default_hooks = dict(checkpoint=dict(interval=2))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre'
