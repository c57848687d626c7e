"""The demo's visual entailment: does a statement follow from the picture, contradict it, or is it undecided?

python tools/prepare/synthetic.py --size demo --also snli_ve
python tools/train.py configs/demo/snli_ve.py
python tools/test.py configs/demo/snli_ve.py work_dirs/demo/snli_ve/epoch_2.pth

It starts from the longer pretraining, which ships with the repository.
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_entailment.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(frozen_stages=1),
    heads=dict(_delete_=True, entailment=dict(type='ClassificationHead', num_classes=3, loss='ce', dropout=0.1)),
)
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    constructor='PatternConstructor',
    paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.2)}),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=2, eta_min=1e-5, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(save_best='accuracy', rule='greater'))
load_from = 'resources/runs/soho_synthetic/model.safetensors'
work_dir = 'work_dirs/demo/snli_ve'
