"""``bicaptioning.py`` with the categories of the objects in the place of the captions, over the same pictures.

    python tools/train.py configs/demo/directions/labels.py

The CNN's transfer is measured by configs/demo/linear_probe.py; demo/run_directions.py does both.
"""

_base_ = '../object_labels.py'
train_cfg = dict(max_iters=250, val_interval=250)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=250, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=1, save_best=None))
env_cfg = dict(cpu_threads=1)
work_dir = ''  # each config's own, work_dirs/demo/directions/NAME
