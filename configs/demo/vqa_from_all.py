"""VQA from all weights of the longer pretraining, in half the steps of ``vqa.py``.

    python tools/train.py configs/demo/vqa_from_all.py

The dictionary stays, so that the transformer goes on reading the visual tokens that it was pretrained on.
"""

_base_ = './vqa.py'
model = dict(
    neck=dict(
        _delete_=True,
        type='DictionaryNeck',
        in_channels=128,
        pool=2,
        dictionary=dict(num_words=256, decay=0.9, unused_words='restart'),
    )
)
train_cfg = dict(max_epochs=4)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=4, eta_min=1e-5, convert_to_iter_based=True)]
load_parts = None
load_from = 'work_dirs/demo/pretrain_again/epoch_6.pth'
work_dir = 'work_dirs/demo/vqa_from_all'
