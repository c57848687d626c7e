"""The demo's hypothesis-only baseline of visual entailment: the same model and statements, without the picture.

python tools/train.py configs/demo/snli_ve_blind.py
"""

_base_ = './snli_ve.py'
model = dict(backbone=None, neck=None)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None)
load_from = None
work_dir = 'work_dirs/demo/snli_ve_blind'
