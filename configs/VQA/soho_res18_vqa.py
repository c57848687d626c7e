"""SOHO on VQA v2 as published: ResNet-18, 3 layers, 20 epochs from the pretrained checkpoint.

    bash tools/dist_train.sh configs/VQA/soho_res18_vqa.py 8
    bash tools/dist_test_vqa.sh configs/VQA/soho_res18_vqa.py 18 8

32 images per GPU, gradients accumulated over two iterations.
Source: researchmm/soho, configs/VQA/soho_res18_vqa.py.

Differs from the release: the loss is a mean over the questions of all GPUs, and each step's batches share one
orientation (``OfficialBatchSampler`` does as the release).

Computed cost, not run: 0.12 TFLOP a question and training step, three times the forward pass that
``tools/analysis/get_flops.py`` counts at the mean of the scales; 658,111 questions an epoch, 1.6 EFLOP for the run:
nine hours of one H100 at 50 TFLOP/s of float32, or half of that with ``--amp`` at 100, about one hour of eight, and
seven of eight V100 at an assumed 8 TFLOP/s of float32. No score of this size is published.
"""

_base_ = [
    '../_base_/models/soho_vqa_official.py',
    '../_base_/datasets/coco_vqa.py',
    '../_base_/schedules/adamw_sgd.py',
    '../_base_/default_runtime.py',
]
sync_bn = ['neck']  # as published: the CNN normalises over the images of each GPU
optim_wrapper = dict(clip_grad=dict(max_norm=4.0))
param_scheduler = [{{_base_.warmup}}, dict(type='MultiStepLR', milestones=[12, 16], gamma=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20)
default_hooks = dict(checkpoint=dict(max_keep_ckpts=-1))
# As in the official test script: in a larger batch the square mask would depend on the largest image.
test_dataloader = dict(batch_size=1)
load_from = '{{$INIT_PATH:.}}/work_dirs/pretrained/soho_res18_fp16_40-9441cdd3.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VQA/soho_res18_vqa'
