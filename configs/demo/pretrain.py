"""The demo's pretraining: 500 more steps of MLM + MVM + ITM from the weights of the longer recipe, which ship.

    make demo        (or: python tools/train.py configs/demo/pretrain.py)

A model learns to match images and text in hours, not in a demo's minutes. ``language.py``, ``pretrain_align.py``,
``pretrain_long.py``, ``pretrain_decay.py`` and ``pretrain_again.py`` did so; here the last of them goes on at a lower
learning rate.
"""

_base_ = './pretrain_again.py'
optim_wrapper = dict(optimizer=dict(lr=1e-4))
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=500, val_interval=500)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=500, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(by_epoch=False, interval=250, max_keep_ckpts=1, save_best=None)
)
log_processor = dict(by_epoch=False)
env_cfg = dict(cpu_threads=1)
load_from = 'resources/runs/soho_synthetic/model.safetensors'
work_dir = 'work_dirs/demo/pretrain'
