"""Captions of a few hundred pictures of one's own, by a CNN that knows ImageNet's labels and a small decoder.

    python tools/prepare/pretrained.py                            # once
    python tools/prepare/table.py captions.csv --images PICTURES --out data/own
    python tools/train.py data/own/config.py                      # inherits from this file

That config names data and vocabulary; for files in ``data/own`` without it:

    python tools/train.py configs/VirTex/small_pretrained.py --cfg-options model.language.vocab_size=NUMBER
"""

_base_ = ['../_base_/models/virtex.py', '../_base_/schedules/adamw_cosine.py', '../_base_/default_runtime.py']
pretrained = '{{$SOHO_PRETRAINED:data/pretrained}}'
data_root = 'data/own'
model = dict(
    # As the CNN was trained.
    data_preprocessor=dict(type='ImageTextPreprocessor', mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)),
    backbone=dict(
        _delete_=True,
        type='TimmBackbone',
        model_name='tf_efficientnet_lite0',
        out_indices=(4,),
        init_cfg=dict(type='Pretrained', checkpoint=pretrained + '/efficientnet_lite0.safetensors'),
    ),
    language=dict(visual_size=320, vocab_size=2000, hidden_size=256, num_heads=4, dropout=0.1, initializer_range=0.06),
)
tokenizer = dict(vocab=data_root + '/captions.model', max_length=30)
load = dict(type='LoadImage', reduce_to=(320, 240))
resize = dict(type='ResizeKeepRatio', scale=(320, 240))
flip = dict(type='RandomFlip', prob=0.5)
tokenize = dict(type='TokenizeCaption', tokenizer=tokenizer)
pack = dict(type='PackSample', keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'])
train_pipeline = [load, resize, flip, tokenize, pack]
test_pipeline = [load, resize, tokenize, pack]
source = dict(type='CaptioningDataset', data_root=data_root, images='images')
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type='collate', size_divisor=32))
train_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(source, ann_file='captions_train.json', pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(source, ann_file='captions_val.json', pipeline=test_pipeline, test_mode=True),
)
val_evaluator = dict(
    type='CaptionMetrics', annotation_file=data_root + '/captions_val.json', tokenizer=tokenizer, java=False
)
val_cfg = dict(type='ValLoop')
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict(type='TestLoop')
optim_wrapper = dict(
    optimizer=dict(lr=1e-3),
    constructor='PatternConstructor',
    paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.1)}),
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=20, val_interval=2)
param_scheduler = [
    {{_base_.warmup}},
    dict(type='CosineAnnealingLR', T_max=20, eta_min=1e-6, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='cider', rule='greater', max_keep_ckpts=1))
