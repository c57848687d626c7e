data_root = 'data/daquar'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1, rule='greater', save_best='accuracy', type='CheckpointHook'),
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
    cpu_threads=1,
    dist_cfg=dict(backend='nccl'),
    keep_freed_memory=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    onednn_products=True,
)
images = 'PICTURES'
keys = ['question_id', 'answer_labels', 'answer_scores']
launcher = 'none'
load_from = None
loader = dict(collate_fn=dict(size_divisor=32, trim_text=True, type='collate'), num_workers=1, persistent_workers=True)
log_level = 'INFO'
log_processor = dict(window_size=50)
model = dict(
    backbone=dict(
        frozen=True,
        init_cfg=dict(checkpoint='data/pretrained/efficientnet_lite0.safetensors', type='Pretrained'),
        model_name='tf_efficientnet_lite0',
        out_indices=(4,),
        type='TimmBackbone',
    ),
    data_preprocessor=dict(mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0), type='ImageTextPreprocessor'),
    heads=dict(vqa=dict(dropout=0.3, hidden_size=384, num_classes=967, type='ClassificationHead')),
    language=dict(
        hidden_size=384,
        intermediate_size=1536,
        num_attention_heads=12,
        num_hidden_layers=6,
        pretrained='data/pretrained/minilm',
        type='CrossModalBert',
        vocab_size=30522,
    ),
    neck=dict(in_channels=320, out_channels=384, pool=2, type='PlainNeck'),
    type='SOHO',
)
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    constructor='PatternConstructor',
    dtype='bfloat16',
    optimizer=dict(fused=True, lr=0.0005, type='AdamW', weight_decay=0.01),
    paramwise_cfg=dict(patterns={r'\A(backbone|language)\.': dict(lr_mult=0.2)}),
    type='AmpOptimWrapper',
)
param_scheduler = [
    dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR'),
    dict(T_max=10, convert_to_iter_based=True, eta_min=1e-06, type='CosineAnnealingLR'),
]
pretrained = 'data/pretrained'
randomness = dict(diff_rank_seed=True, seed=0)
resume = False
source = dict(data_root='data/own', sentence_group=8, type='VQADataset')
sync_bn = True
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=16,
    collate_fn=dict(size_divisor=32, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='val.json',
        data_root='data/daquar',
        images='PICTURES',
        pipeline=[
            dict(reduce_to=(320, 240), type='LoadImage'),
            dict(scale=(320, 240), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=24, vocab='data/pretrained/minilm/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
        ],
        sentence_group=8,
        test_mode=True,
        type='VQADataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
test_evaluator = dict(majority_answer='2', type='VQAAccuracy')
test_pipeline = [
    dict(reduce_to=(320, 240), type='LoadImage'),
    dict(scale=(320, 240), type='ResizeKeepRatio'),
    dict(tokenizer=dict(max_length=24, vocab='data/pretrained/minilm/vocab.txt'), type='Tokenize'),
    dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
]
tokenizer = dict(max_length=24, vocab='data/pretrained/minilm/vocab.txt')
train_cfg = dict(max_epochs=10, type='EpochBasedTrainLoop', val_interval=10)
train_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=8,
    collate_fn=dict(size_divisor=32, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='train.json',
        data_root='data/daquar',
        images='PICTURES',
        pipeline=[
            dict(reduce_to=(320, 240), type='LoadImage'),
            dict(scale=(320, 240), type='ResizeKeepRatio'),
            dict(prob=0.5, type='RandomFlip'),
            dict(tokenizer=dict(max_length=24, vocab='data/pretrained/minilm/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
        ],
        sentence_group=8,
        type='VQADataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='EpochSampler'),
)
train_pipeline = [
    dict(reduce_to=(320, 240), type='LoadImage'),
    dict(scale=(320, 240), type='ResizeKeepRatio'),
    dict(prob=0.5, type='RandomFlip'),
    dict(tokenizer=dict(max_length=24, vocab='data/pretrained/minilm/vocab.txt'), type='Tokenize'),
    dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
]
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    batch_size=16,
    collate_fn=dict(size_divisor=32, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='val.json',
        data_root='data/daquar',
        images='PICTURES',
        pipeline=[
            dict(reduce_to=(320, 240), type='LoadImage'),
            dict(scale=(320, 240), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=24, vocab='data/pretrained/minilm/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
        ],
        sentence_group=8,
        test_mode=True,
        type='VQADataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
val_evaluator = dict(majority_answer='2', type='VQAAccuracy')
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
warmup = dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR')
work_dir = 'work_dirs/daquar'
