"""The demo's GQA: questions about generated pictures with all official metrics, from the longer pretraining.

export SOHO_SYNTHETIC=data/synthetic/demo                              # what make demo has generated
python tools/prepare/synthetic.py --size demo --also gqa
python tools/prepare/gqa.py --root data/synthetic/demo/gqa
python tools/train.py configs/demo/gqa.py
python tools/test.py configs/demo/gqa.py work_dirs/demo/gqa/iter_999.pth --out submission.json

One pass over the training pictures, each with its questions. The pretrained weights ship with the repository.
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_gqa.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/cpu_runtime.py',
]
model = dict(
    backbone=dict(frozen_stages=1),
    heads=dict(_delete_=True, gqa=dict(type='ClassificationHead', num_classes=36, loss='ce', dropout=0.1)),
)
optim_wrapper = dict(
    constructor='PatternConstructor', paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.2)})
)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=999, val_interval=999)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=999, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=250, max_keep_ckpts=1, save_best='accuracy'))
log_processor = dict(by_epoch=False)
load_from = 'resources/runs/soho_synthetic/model.safetensors'
work_dir = 'work_dirs/demo/gqa'
