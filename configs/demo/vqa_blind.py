"""The demo's language-only baseline: the same model and questions, without the image.

Command: ``make demo``, or ``python tools/train.py configs/demo/vqa_blind.py``
"""

_base_ = './vqa.py'
model = dict(backbone=None, neck=None)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None)
# Without the image accuracy does not improve after the second epoch: a third gave 41.1 after 42.0 % on validation.
train_cfg = dict(max_epochs=2)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=2, eta_min=1e-5, convert_to_iter_based=True)]
load_from = None
work_dir = 'work_dirs/demo/vqa_blind'
