"""The demo's baseline: the same model and questions, without the image.

What it scores is what the questions alone give away.
"""
_base_ = './vqa.py'
model = dict(backbone=None, neck=None)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None)
load_from = None
work_dir = 'work_dirs/demo/vqa_blind'
