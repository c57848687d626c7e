"""SOHO on NLVR2, in the manner of Pixel-BERT: ResNet-18, 3 layers, 20 epochs from the pretrained checkpoint.

    python tools/prepare/nlvr2.py --root data/nlvr2
    bash tools/dist_train.sh configs/NLVR2/soho_res18_nlvr2.py 8
    python tools/test.py configs/NLVR2/soho_res18_nlvr2.py CHECKPOINT --out test1.csv

The balanced and unbalanced parts of dev, and its thirteen categories, by the official files in ``data/nlvr2``:

    python tools/test.py configs/NLVR2/soho_res18_nlvr2.py CHECKPOINT --cfg-options \\
        test_dataloader.dataset.ann_file=nlvr2_dev.jsonl test_dataloader.dataset.images=images/dev \\
        test_evaluator.subsets.balanced=data/nlvr2/balanced_dev.json \\
        test_evaluator.subsets.unbalanced=data/nlvr2/unbalanced_dev.json \\
        test_evaluator.categories=data/nlvr2/annotated_dev_examples.txt \\
        test_evaluator.annotation_file=data/nlvr2/dev.json

A classifier reads the [CLS] of the statement with the left image beside its [CLS] with the right one; the paper says
neither of its head nor of its rates here, so that both are of peers. 64 pairs a step on 8 GPUs. Cost, estimated from
the measured 0.12 TFLOP an image and training step: 20 PFLOP an epoch, about an hour of one H100 for the run at 100
TFLOP/s. Not run. Chance is 50; the paper has no score for this size.
"""

_base_ = [
    '../_base_/models/soho_vqa.py',
    '../_base_/datasets/nlvr2.py',
    '../_base_/schedules/adamw_sgd.py',
    '../_base_/default_runtime.py',
]
model = dict(
    heads=dict(
        _delete_=True, nlvr2=dict(type='ClassificationHead', num_classes=2, loss='ce', num_images=2, dropout=0.1)
    )
)
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=5e-5), accumulative_counts=1)
param_scheduler = [{{_base_.warmup}}, dict(type='MultiStepLR', milestones=[12, 16], gamma=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=1)
default_hooks = dict(checkpoint=dict(save_best='accuracy'))
custom_hooks = [dict(type='ChanceLossHook', head='nlvr2')]
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre_corrected/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/NLVR2/soho_res18_nlvr2'
