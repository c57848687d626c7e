data_root = 'data/coco_photos'
default_hooks = dict(
    checkpoint=dict(interval=40, max_keep_ckpts=1, type='CheckpointHook'),
    finite_loss=dict(interval=50, type='FiniteLossHook'),
    logger=dict(interval=50, type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    rank_zero_buffers=dict(type='RankZeroBuffersHook'),
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
loader = dict(collate_fn=dict(size_divisor=16, type='collate'), num_workers=0)
log_level = 'INFO'
log_processor = dict(window_size=50)
model = dict(
    backbone=dict(depth=18, num_stages=3, out_indices=(2,), type='ResNet', zero_init_residual=True),
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    heads=dict(captioning=dict(type='CaptioningHead')),
    language=dict(
        bidirectional=True,
        dropout=0.0,
        hidden_size=256,
        initializer_range=0.06,
        num_heads=4,
        num_layers=1,
        type='CaptionTransformer',
        visual_size=256,
        vocab_size=1000,
    ),
    type='VirTex',
)
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    dtype='bfloat16',
    optimizer=dict(fused=True, lr=0.001, type='AdamW', weight_decay=0.01),
    type='AmpOptimWrapper',
)
param_scheduler = [
    dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR'),
    dict(T_max=240, convert_to_iter_based=True, eta_min=1e-05, type='CosineAnnealingLR'),
]
pipeline = [
    dict(reduce_to=(128, 96), type='LoadImage'),
    dict(scale=(128, 96), type='ResizeKeepRatio'),
    dict(tokenizer=dict(max_length=30, vocab='data/coco_photos/captions.model'), type='TokenizeCaption'),
    dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample'),
]
randomness = dict(seed=0)
resume = False
source = dict(
    ann_file='captions.json',
    data_root='data/coco_photos',
    images='permissive',
    pipeline=[
        dict(reduce_to=(128, 96), type='LoadImage'),
        dict(scale=(128, 96), type='ResizeKeepRatio'),
        dict(tokenizer=dict(max_length=30, vocab='data/coco_photos/captions.model'), type='TokenizeCaption'),
        dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample'),
    ],
    type='CaptioningDataset',
)
sync_bn = True
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=16,
    collate_fn=dict(size_divisor=16, type='collate'),
    dataset=dict(
        ann_file='captions.json',
        data_root='data/coco_photos',
        images='permissive',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=30, vocab='data/coco_photos/captions.model'), type='TokenizeCaption'),
            dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample'),
        ],
        test_mode=True,
        type='CaptioningDataset',
    ),
    num_workers=0,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
test_evaluator = dict(
    annotation_file='data/coco_photos/captions.json',
    java=False,
    tokenizer=dict(max_length=30, vocab='data/coco_photos/captions.model'),
    type='CaptionMetrics',
)
tokenizer = dict(max_length=30, vocab='data/coco_photos/captions.model')
train_cfg = dict(max_epochs=240, type='EpochBasedTrainLoop', val_interval=40)
train_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=16,
    collate_fn=dict(size_divisor=16, type='collate'),
    dataset=dict(
        ann_file='captions.json',
        data_root='data/coco_photos',
        images='permissive',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=30, vocab='data/coco_photos/captions.model'), type='TokenizeCaption'),
            dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample'),
        ],
        type='CaptioningDataset',
    ),
    num_workers=0,
    sampler=dict(shuffle=True, type='EpochSampler'),
)
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=16,
    collate_fn=dict(size_divisor=16, type='collate'),
    dataset=dict(
        ann_file='captions.json',
        data_root='data/coco_photos',
        images='permissive',
        pipeline=[
            dict(reduce_to=(128, 96), type='LoadImage'),
            dict(scale=(128, 96), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=30, vocab='data/coco_photos/captions.model'), type='TokenizeCaption'),
            dict(keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'], type='PackSample'),
        ],
        test_mode=True,
        type='CaptioningDataset',
    ),
    num_workers=0,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
val_evaluator = dict(
    annotation_file='data/coco_photos/captions.json',
    java=False,
    tokenizer=dict(max_length=30, vocab='data/coco_photos/captions.model'),
    type='CaptionMetrics',
)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
warmup = dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR')
work_dir = 'work_dirs/VirTex/coco_photos'
