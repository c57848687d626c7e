"""SOHO on SNLI-VE, in the manner of Pixel-BERT's other tasks: ResNet-18, 3 layers, from the pretrained checkpoint.

    python tools/prepare/snli_ve.py --root data/flickr30k
    bash tools/dist_train.sh configs/SNLIVE/soho_res18_snli_ve.py 8
    bash tools/dist_test.sh configs/SNLIVE/soho_res18_snli_ve.py CHECKPOINT 8

Three classes from the [CLS] of image and hypothesis; the premise's caption is never read. What the paper says of head
and rates could not be found. 64 images of up to six hypotheses a step on 8 GPUs. Estimated cost: 0.23 TFLOP a group of
six and training step, 21 PFLOP an epoch, about half an hour of one H100 for the run at 100 TFLOP/s. Not run. Beside
the accuracy stands ``accuracy_hypothesis``, that of the most frequent training label of the same hypothesis, and with
``--cfg-options test_evaluator.blind=FIGURE`` that of ``soho_res18_snli_ve_blind.py``, the same model without the image;
chance is 33.3. The paper has no score for this size.
"""

_base_ = [
    '../_base_/models/soho_vqa.py',
    '../_base_/datasets/snli_ve.py',
    '../_base_/schedules/adamw_sgd.py',
    '../_base_/default_runtime.py',
]
model = dict(
    heads=dict(_delete_=True, entailment=dict(type='ClassificationHead', num_classes=3, loss='ce', dropout=0.1))
)
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=5e-5), accumulative_counts=1)
param_scheduler = [{{_base_.warmup}}, dict(type='MultiStepLR', milestones=[4, 6], gamma=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=8, val_interval=1)
default_hooks = dict(checkpoint=dict(save_best='accuracy', rule='greater'))
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre_corrected/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/SNLIVE/soho_res18_snli_ve'
