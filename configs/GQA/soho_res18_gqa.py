"""SOHO on GQA, in the manner of LXMERT: ResNet-18, 3 layers, one answer of 1,842, 5 epochs from pretraining.

    python tools/prepare/gqa.py --root data/gqa
    bash tools/dist_train.sh configs/GQA/soho_res18_gqa.py 8
    python tools/test.py configs/GQA/soho_res18_gqa.py CHECKPOINT --out submission.json     # for the server

The paper does not have this task. 16 images with up to four questions each per GPU. Consistency, validity and
plausibility come of val: ``--cfg-options`` names ``val_all_questions.json`` and ``val_choices.json``. Cost, estimated
from the measured 0.12 TFLOP an image and training step: 270,000 images with four questions an epoch, 50 PFLOP, under
an hour of one H100 for the run at 100 TFLOP/s. Not run.
"""

_base_ = [
    '../_base_/models/soho_vqa.py',
    '../_base_/datasets/gqa.py',
    '../_base_/schedules/adamw_sgd.py',
    '../_base_/default_runtime.py',
]
model = dict(heads=dict(_delete_=True, gqa=dict(type='ClassificationHead', num_classes=1842, loss='ce', dropout=0.5)))
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=5e-5), accumulative_counts=1)
param_scheduler = [{{_base_.warmup}}, dict(type='MultiStepLR', milestones=[3, 4], gamma=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=5, val_interval=1)
default_hooks = dict(checkpoint=dict(save_best='accuracy'))
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre_corrected/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/GQA/soho_res18_gqa'
