"""Fine-tuning from all weights of the longer pretraining, one pass over the questions in which the rate falls.

    python tools/train.py configs/demo/directions/vqa_all.py

The checkpoint ships with the repository. ``demo/run_directions.py`` trains it with three seeds, beside ``vqa_cnn.py``.
"""

_base_ = '../vqa.py'
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=999, val_interval=999)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=999, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=250, save_best=None, max_keep_ckpts=1))
log_processor = dict(by_epoch=False)
load_from = 'resources/runs/soho_synthetic/model.safetensors'
work_dir = ''  # each config's own, work_dirs/demo/directions/NAME
