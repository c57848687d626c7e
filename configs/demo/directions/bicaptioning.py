"""VirTex for one pass over the pictures: captions in both directions.

    python tools/prepare/vocabulary.py data/synthetic/demo/annotations/captions_train2014.json \
        --size 400 --out data/synthetic/demo/captions.model
    python tools/train.py configs/demo/directions/bicaptioning.py

The CNN's transfer is measured by configs/demo/linear_probe.py; demo/run_directions.py does both.
"""

_base_ = '../captioning.py'
train_cfg = dict(max_iters=250, val_interval=250)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=250, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=125, max_keep_ckpts=1, save_best=None))
env_cfg = dict(cpu_threads=1)
work_dir = ''  # each config's own, work_dirs/demo/directions/NAME
