"""The language-only baseline of ``nlvr2.py``: the same model and statements, without the pictures.

    python tools/train.py configs/demo/nlvr2_blind.py

Every statement is true of as many pairs as it is false of, so that it stays at chance.
"""

_base_ = './nlvr2.py'
model = dict(backbone=None, neck=None)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None)
train_cfg = dict(max_epochs=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=1, eta_min=1e-5, convert_to_iter_based=True)]
custom_hooks = []
load_from = None
work_dir = 'work_dirs/demo/nlvr2_blind'
