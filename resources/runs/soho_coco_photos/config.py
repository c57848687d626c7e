data_root = 'data/coco_photos'
default_hooks = dict(
    checkpoint=dict(interval=40, max_keep_ckpts=1, type='CheckpointHook'),
    finite_loss=dict(interval=50, type='FiniteLossHook'),
    logger=dict(interval=50, type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    runtime_info=dict(type='RuntimeInfoHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    timer=dict(type='IterTimerHook'),
)
default_scope = 'soho'
env_cfg = dict(
    cudnn_benchmark=True, dist_cfg=dict(backend='nccl'), mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0)
)
launcher = 'none'
load_from = None
loader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    collate_fn=dict(size_divisor=16, type='collate'),
    dataset=dict(
        ann_file='permissive.json',
        data_root='data/coco_photos',
        images='permissive',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='Tokenize'),
            dict(prob=0.15, tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='MaskTokens'),
            dict(prob=0.15, type='DrawVisualMask'),
            dict(keys=['mlm_labels', 'itm_labels', 'mask_cell', 'mask_rows'], type='PackSample'),
        ],
        sentence_group=5,
        type='PretrainDataset',
    ),
    num_workers=1,
    persistent_workers=True,
)
log_level = 'INFO'
log_processor = dict(window_size=50)
model = dict(
    backbone=dict(depth=18, num_stages=2, out_indices=(1,), type='ResNet', zero_init_residual=True),
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    heads=dict(itm=dict(hidden_size=192, type='ITMHead'), mlm=dict(type='MLMHead'), mvm=dict(type='MVMHead')),
    language=dict(
        attention='eager',
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        hidden_size=192,
        initializer_range=0.07,
        intermediate_size=768,
        num_attention_heads=6,
        num_hidden_layers=3,
        type='CrossModalBert',
        vocab_size=30522,
    ),
    neck=dict(
        dictionary=dict(decay=0.9, num_words=256, unused_words='restart'),
        in_channels=128,
        out_channels=192,
        pool=2,
        type='DictionaryNeck',
    ),
    type='SOHO',
)
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    dtype='bfloat16',
    optimizer=dict(lr=0.0005, type='AdamW', weight_decay=0.01),
    type='AmpOptimWrapper',
)
param_scheduler = [
    dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR'),
    dict(T_max=240, convert_to_iter_based=True, eta_min=1e-05, type='CosineAnnealingLR'),
]
pipeline = [
    dict(reduce_to=(128, 96), type='LoadImage'),
    dict(scale=(128, 96), type='ResizeKeepRatio'),
    dict(tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='Tokenize'),
    dict(prob=0.15, tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='MaskTokens'),
    dict(prob=0.15, type='DrawVisualMask'),
    dict(keys=['mlm_labels', 'itm_labels', 'mask_cell', 'mask_rows'], type='PackSample'),
]
randomness = dict(seed=0)
resume = False
sync_bn = True
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=16,
    collate_fn=dict(size_divisor=16, type='collate'),
    dataset=dict(
        ann_file='permissive.json',
        data_root='data/coco_photos',
        images='permissive',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='Tokenize'),
            dict(prob=0.15, tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='MaskTokens'),
            dict(prob=0.15, type='DrawVisualMask'),
            dict(keys=['mlm_labels', 'itm_labels', 'mask_cell', 'mask_rows'], type='PackSample'),
        ],
        sentence_group=5,
        type='PretrainDataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
test_evaluator = dict(type='PretrainFigures')
tokenizer = dict(max_length=20, vocab='bert-base-uncased')
train_cfg = dict(max_epochs=240, type='EpochBasedTrainLoop', val_interval=40)
train_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=8,
    collate_fn=dict(size_divisor=16, type='collate'),
    dataset=dict(
        ann_file='permissive.json',
        data_root='data/coco_photos',
        images='permissive',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='Tokenize'),
            dict(prob=0.15, tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='MaskTokens'),
            dict(prob=0.15, type='DrawVisualMask'),
            dict(keys=['mlm_labels', 'itm_labels', 'mask_cell', 'mask_rows'], type='PackSample'),
        ],
        sentence_group=5,
        type='PretrainDataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='EpochSampler'),
)
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=16,
    collate_fn=dict(size_divisor=16, type='collate'),
    dataset=dict(
        ann_file='permissive.json',
        data_root='data/coco_photos',
        images='permissive',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='Tokenize'),
            dict(prob=0.15, tokenizer=dict(max_length=20, vocab='bert-base-uncased'), type='MaskTokens'),
            dict(prob=0.15, type='DrawVisualMask'),
            dict(keys=['mlm_labels', 'itm_labels', 'mask_cell', 'mask_rows'], type='PackSample'),
        ],
        sentence_group=5,
        type='PretrainDataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
val_evaluator = dict(type='PretrainFigures')
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
warmup = dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR')
work_dir = 'work_dirs/Pretrain/soho_coco_photos'
