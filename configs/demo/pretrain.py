"""The demo's pretraining: MLM + MVM + ITM on captions of the synthetic data set.

    make demo        (or: python tools/train.py configs/demo/pretrain.py)

One epoch is short, so more tokens are masked (40 % instead of 15 %) and fewer
captions replaced (20 % instead of 50 %): a masked token of a replaced caption
cannot be predicted from the image.
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_captions.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/cpu_runtime.py',
]
# A low learning rate fine-tunes the CNN without overwriting it; its first stage is frozen, as published.
model = dict(backbone=dict(frozen_stages=1))
optim_wrapper = dict(
    constructor='PatternConstructor', paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.1)})
)
pipeline = _base_.pipeline
pipeline[3].prob = 0.4
pipeline[4].prob = 0.02
datasets = _base_.train_dataloader.dataset.datasets
for dataset in datasets:
    dataset.replace_prob = 0.2
    dataset.pipeline = pipeline
train_dataloader = dict(dataset=dict(datasets=datasets))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1, val_interval=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=1, eta_min=1e-4, convert_to_iter_based=True)]
load_from = 'work_dirs/demo/cnn/epoch_5.pth'
work_dir = 'work_dirs/demo/pretrain'
