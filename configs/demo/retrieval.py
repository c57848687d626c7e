"""The demo's image-text retrieval: among 1,500 captions those of a picture, among 300 pictures that of a caption.

python tools/train.py configs/demo/retrieval.py
python tools/test.py configs/demo/retrieval.py work_dirs/demo/retrieval/epoch_1.pth

It starts from the longer pretraining, which ships with the repository and has learnt to match.
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_retrieval.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]
# All captions of others are compared: many of the generated ones are true of several pictures, and the hardest five
# would mostly be such.
model = dict(backbone=dict(frozen_stages=1), heads=dict(_delete_=True, itm=dict(type='RetrievalHead', hardest=None)))
train_dataloader = dict(dataset=dict(negatives=9))
# Half of the demo's usual rate: what pretraining has learnt about matching should not be overwritten.
optim_wrapper = dict(
    optimizer=dict(lr=2e-4),
    constructor='PatternConstructor',
    paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.2)}),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=1, eta_min=1e-5, convert_to_iter_based=True)]
load_from = 'resources/runs/soho_synthetic/model.safetensors'
work_dir = 'work_dirs/demo/retrieval'
