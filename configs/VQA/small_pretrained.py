"""Questions about a few hundred pictures of one's own, from a CNN and a language model that were trained before.

    python tools/prepare/pretrained.py                            # 100 MB, once
    python tools/prepare/table.py questions.csv --images PICTURES --out data/own
    python tools/train.py data/own/config.py                      # inherits from this file

That config names data, answers and vocabulary; for files in ``data/own`` without it:

    python tools/train.py configs/VQA/small_pretrained.py --cfg-options model.heads.vqa.num_classes=NUMBER

A CNN that knows ImageNet's labels and stays as it is, and a sentence encoder of six layers; neck and answers are learnt
from scratch. So few pictures cannot teach seeing and reading from nothing. Training the CNN as well
(``model.backbone.frozen=False``) makes a step on a CPU about three times as long.
"""

_base_ = ['../_base_/datasets/own_questions.py', '../_base_/schedules/adamw_cosine.py', '../_base_/default_runtime.py']
pretrained = '{{$SOHO_PRETRAINED:data/pretrained}}'
model = dict(
    type='SOHO',
    # As the CNN was trained.
    data_preprocessor=dict(type='ImageTextPreprocessor', mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)),
    backbone=dict(
        type='TimmBackbone',
        model_name='tf_efficientnet_lite0',
        out_indices=(4,),
        frozen=True,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained + '/efficientnet_lite0.safetensors'),
    ),
    neck=dict(type='PlainNeck', in_channels=320, pool=2),
    language=dict(
        type='CrossModalBert',
        pretrained=pretrained + '/minilm',
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
    ),
    heads=dict(vqa=dict(type='ClassificationHead', num_classes=1000, dropout=0.3)),
)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    constructor='PatternConstructor',
    paramwise_cfg=dict(patterns={r'\A(backbone|language)\.': dict(lr_mult=0.2)}),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=1)
param_scheduler = [
    {{_base_.warmup}},
    dict(type='CosineAnnealingLR', T_max=10, eta_min=1e-6, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='accuracy', rule='greater', max_keep_ckpts=1))
