"""The demo's hypothesis-only baseline of visual entailment: the same model and statements, without the picture."""

_base_ = './snli_ve.py'
model = dict(backbone=None, neck=None)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None)
load_from = None
work_dir = 'work_dirs/demo/snli_ve_blind'
