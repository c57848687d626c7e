"""VirTex for 4,800 pictures: captions in both directions.

    python tools/prepare/vocabulary.py data/synthetic/demo/annotations/captions_train2014.json \
        --size 400 --out data/synthetic/demo/captions.model
    python tools/train.py configs/demo/directions/bicaptioning.py

The CNN's transfer is measured by configs/demo/linear_probe.py; demo/run_directions.py does both.
"""

_base_ = '../captioning.py'
train_dataloader = dict(batch_size=16)  # twice the updates of the usual 32
train_cfg = dict(max_iters=300, val_interval=10_000)  # the probe measures the CNN
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=300, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(interval=150, max_keep_ckpts=1, save_best=None))
env_cfg = dict(cpu_threads=1)
work_dir = ''  # each config's own, work_dirs/demo/directions/NAME
