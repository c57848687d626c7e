"""The short pretraining whose parts are taken away one by one: MLM + MVM + ITM, 400 steps of 8 images.

    python tools/train.py configs/demo/directions/pretrain.py

CNN and transformer are those of the longer pretraining, which ship; neck and heads, and with them the visual tokens,
are new. From a transformer that has not yet looked at an image, matching stays at chance for the first thousand steps,
whatever is taken away. Each of the configs beside it that differ from it does so in one line, and
``demo/run_directions.py`` trains all of them.
"""

_base_ = '../pretrain_long.py'
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=400, val_interval=400)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=400, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=200, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
env_cfg = dict(cpu_threads=1)
load_parts = ['backbone', 'language']
load_from = 'resources/runs/soho_synthetic/model.safetensors'
work_dir = ''  # each config's own, work_dirs/demo/directions/NAME
