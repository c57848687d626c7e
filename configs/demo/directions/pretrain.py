"""The short pretraining whose parts are taken away one by one: MLM + MVM + ITM, 4,800 samples of five captions.

    python tools/train.py configs/demo/cnn_small_objects.py
    python tools/train.py configs/demo/language.py
    python tools/train.py configs/demo/directions/pretrain.py

Two stages of the longer recipe in one: from a transformer that knows the language and a CNN that was trained on labels,
as ``pretrain_align.py``, with the whole CNN learning, as in ``pretrain_long.py``; the rate falls to nearly zero. Each
of the configs beside it that differ from it does so in one line, and ``demo/run_directions.py`` trains all of them.
"""

_base_ = '../pretrain_align.py'
checkpoint = 'work_dirs/demo/cnn_small_objects/epoch_5.pth'
model = dict(backbone=dict(frozen_stages=-1, init_cfg=dict(checkpoint=checkpoint)))
optim_wrapper = dict(paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.5)}))
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=600, val_interval=600)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=600, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=500, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
env_cfg = dict(cpu_threads=1)
work_dir = ''  # each config's own, work_dirs/demo/directions/NAME
