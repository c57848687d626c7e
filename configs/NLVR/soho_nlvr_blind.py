"""The language-only baseline of NLVR: the same model and sentences, without the image.

python tools/train.py configs/NLVR/soho_nlvr_blind.py
"""

_base_ = './soho_nlvr.py'
model = dict(backbone=None, neck=None)
train_cfg = dict(max_epochs=2)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=2, eta_min=1e-5, convert_to_iter_based=True)]
