"""The language-only baseline of ``gqa.py``: the same model and questions, without the pictures.

python tools/train.py configs/demo/gqa_blind.py
"""

_base_ = './gqa.py'
model = dict(backbone=None, neck=None)
optim_wrapper = dict(constructor='DefaultOptimWrapperConstructor', paramwise_cfg=None)
load_from = None
work_dir = 'work_dirs/demo/gqa_blind'
