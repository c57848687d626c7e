data_root = 'data/synthetic/demo'
default_hooks = dict(
    checkpoint=dict(
        by_epoch=False, interval=2000, max_keep_ckpts=3, rule='greater', save_best='cider', type='CheckpointHook'
    ),
    dictionary_usage=dict(type='DictionaryUsageHook'),
    finite_loss=dict(interval=50, type='FiniteLossHook'),
    logger=dict(interval=50, type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    rank_zero_buffers=dict(type='RankZeroBuffersHook'),
    release_memory=dict(type='ReleaseMemoryHook'),
    runtime_info=dict(type='RuntimeInfoHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    timer=dict(type='IterTimerHook'),
)
default_scope = 'soho'
env_cfg = dict(
    dist_cfg=dict(backend='nccl'),
    keep_freed_memory=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    onednn_products=True,
)
flip = dict(prob=0.5, type='RandomFlip')
launcher = 'none'
load = dict(reduce_to=(128, 96), type='LoadImage')
load_from = None
log_level = 'INFO'
log_processor = dict(by_epoch=False, window_size=50)
model = dict(
    backbone=dict(depth=18, num_stages=3, out_indices=(2,), type='ResNet', zero_init_residual=True),
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    heads=dict(captioning=dict(decoder=dict(beam_size=3, type='BeamSearch'), type='CaptioningHead')),
    language=dict(
        bidirectional=True,
        dropout=0.0,
        hidden_size=192,
        initializer_range=0.07,
        max_length=32,
        num_heads=4,
        num_layers=1,
        type='CaptionTransformer',
        visual_size=256,
        vocab_size=400,
    ),
    type='VirTex',
)
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    dtype='bfloat16',
    optimizer=dict(fused=True, lr=0.001, type='AdamW', weight_decay=0.01),
    type='AmpOptimWrapper',
)
pack = dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample')
param_scheduler = [
    dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR'),
    dict(T_max=4000, by_epoch=False, eta_min=1e-05, type='CosineAnnealingLR'),
]
randomness = dict(diff_rank_seed=True, seed=0)
resize = dict(scale=(128, 96), type='ResizeKeepRatio')
resume = False
source = dict(data_root='data/synthetic/demo', type='CaptioningDataset')
sync_bn = True
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_sampler=dict(boundaries=[0.8, 1.2], type='AspectRatioBatchSampler'),
    batch_size=32,
    collate_fn=dict(size_divisor=16, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='annotations/captions_val2014.json',
        data_root='data/synthetic/demo',
        images='val2014',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=32, vocab='data/synthetic/demo/captions.model'), type='TokenizeCaption'),
            dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample'),
        ],
        test_mode=True,
        type='CaptioningDataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
test_evaluator = dict(
    annotation_file='data/synthetic/demo/annotations/captions_val2014.json',
    java=False,
    tokenizer=dict(max_length=32, vocab='data/synthetic/demo/captions.model'),
    type='CaptionMetrics',
)
tokenize = dict(tokenizer=dict(max_length=32, vocab='data/synthetic/demo/captions.model'), type='TokenizeCaption')
tokenizer = dict(max_length=32, vocab='data/synthetic/demo/captions.model')
train_cfg = dict(max_iters=4000, type='IterBasedTrainLoop', val_interval=1000)
train_dataloader = dict(
    batch_sampler=dict(boundaries=[0.8, 1.2], drop_last=True, type='AspectRatioBatchSampler'),
    batch_size=32,
    collate_fn=dict(size_divisor=16, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='annotations/captions_train2014.json',
        data_root='data/synthetic/demo',
        images='train2014',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(prob=0.5, type='RandomFlip'),
            dict(tokenizer=dict(max_length=32, vocab='data/synthetic/demo/captions.model'), type='TokenizeCaption'),
            dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample'),
        ],
        sentence_group=5,
        type='CaptioningDataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='EpochSampler'),
)
val_captions = 'data/synthetic/demo/annotations/captions_val2014.json'
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_sampler=dict(boundaries=[0.8, 1.2], type='AspectRatioBatchSampler'),
    batch_size=32,
    collate_fn=dict(size_divisor=16, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='annotations/captions_val2014.json',
        data_root='data/synthetic/demo',
        images='val2014',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=32, vocab='data/synthetic/demo/captions.model'), type='TokenizeCaption'),
            dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample'),
        ],
        test_mode=True,
        type='CaptioningDataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
val_evaluator = dict(
    annotation_file='data/synthetic/demo/annotations/captions_val2014.json',
    java=False,
    tokenizer=dict(max_length=32, vocab='data/synthetic/demo/captions.model'),
    type='CaptionMetrics',
)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
warmup = dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR')
work_dir = 'work_dirs/demo/captioning'
