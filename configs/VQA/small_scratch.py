"""Questions about pictures of one's own with random first weights, which takes ten thousands of pictures.

    python tools/prepare/table.py questions.csv --images PICTURES --out data/own --recipe VQA/small_scratch
    python tools/train.py data/own/config.py                      # inherits from this file

That config names data, answers and vocabulary; for files in ``data/own`` without it:

    python tools/train.py configs/VQA/small_scratch.py --cfg-options model.heads.vqa.num_classes=NUMBER

Needs no pretrained parts and is the baseline of ``small_pretrained.py``. The vocabulary is made of the questions.
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/own_questions.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(num_stages=4, out_indices=(3,)),
    neck=dict(_delete_=True, type='PlainNeck', in_channels=512, pool=1),
    language=dict(vocab_size=1000),
    heads=dict(_delete_=True, vqa=dict(type='ClassificationHead', num_classes=1000, dropout=0.3)),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=1)
param_scheduler = [
    {{_base_.warmup}},
    dict(type='CosineAnnealingLR', T_max=10, eta_min=1e-6, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='accuracy', rule='greater', max_keep_ckpts=1))
