custom_hooks = [dict(after=800, head='nlvr2', type='ChanceLossHook', window=400)]
data_root = 'data/synthetic/demo'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='accuracy', type='CheckpointHook'),
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
launcher = 'none'
load = [dict(reduce_to=(96, 72), type='LoadImage'), dict(scale=(96, 72), type='ResizeKeepRatio')]
load_from = 'resources/models/soho_vqa_synthetic/model.safetensors'
log_level = 'INFO'
log_processor = dict(window_size=50)
model = dict(
    backbone=dict(depth=18, frozen_stages=1, num_stages=2, out_indices=(1,), type='ResNet', zero_init_residual=True),
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    heads=dict(nlvr2=dict(dropout=0.1, loss='ce', num_classes=2, num_images=2, type='ClassificationHead')),
    language=dict(
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        hidden_size=128,
        initializer_range=0.08,
        intermediate_size=512,
        num_attention_heads=4,
        num_hidden_layers=3,
        type='CrossModalBert',
        vocab_size=512,
    ),
    neck=dict(in_channels=128, pool=2, type='PlainNeck'),
    type='SOHO',
)
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    constructor='PatternConstructor',
    dtype='bfloat16',
    optimizer=dict(fused=True, lr=0.0005, type='AdamW', weight_decay=0.01),
    paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.2)}),
    type='AmpOptimWrapper',
)
pack = [
    dict(tokenizer=dict(max_length=40, vocab='data/synthetic/demo/vocab.txt'), type='Tokenize'),
    dict(keys=['question_id', 'answer_labels'], type='PackSample'),
]
param_scheduler = [
    dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR'),
    dict(T_max=2, convert_to_iter_based=True, eta_min=1e-05, type='CosineAnnealingLR'),
]
randomness = dict(diff_rank_seed=True, seed=0)
resume = False
source = dict(data_root='data/synthetic/demo', type='NLVR2Dataset')
sync_bn = True
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_sampler=dict(boundaries=[0.8, 1.2], type='AspectRatioBatchSampler'),
    batch_size=32,
    collate_fn=dict(size_divisor=16, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='nlvr2/test1.jsonl',
        data_root='data/synthetic/demo',
        images='test2015',
        pipeline=[
            dict(reduce_to=(96, 72), type='LoadImage'),
            dict(scale=(96, 72), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=40, vocab='data/synthetic/demo/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels'], type='PackSample'),
        ],
        test_mode=True,
        type='NLVR2Dataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
test_evaluator = dict(type='StatementAccuracy')
tokenizer = dict(max_length=40, vocab='data/synthetic/demo/vocab.txt')
train_cfg = dict(max_epochs=2, type='EpochBasedTrainLoop', val_interval=1)
train_dataloader = dict(
    batch_sampler=dict(boundaries=[0.8, 1.2], drop_last=True, type='AspectRatioBatchSampler'),
    batch_size=16,
    collate_fn=dict(size_divisor=16, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='nlvr2/train.jsonl',
        data_root='data/synthetic/demo',
        images='train2014',
        pipeline=[
            dict(reduce_to=(96, 72), type='LoadImage'),
            dict(scale=(96, 72), type='ResizeKeepRatio'),
            dict(prob=0.5, type='SwapImages'),
            dict(tokenizer=dict(max_length=40, vocab='data/synthetic/demo/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels'], type='PackSample'),
        ],
        type='NLVR2Dataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='EpochSampler'),
)
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_sampler=dict(boundaries=[0.8, 1.2], type='AspectRatioBatchSampler'),
    batch_size=32,
    collate_fn=dict(size_divisor=16, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='nlvr2/dev.jsonl',
        data_root='data/synthetic/demo',
        images='val2014',
        pipeline=[
            dict(reduce_to=(96, 72), type='LoadImage'),
            dict(scale=(96, 72), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=40, vocab='data/synthetic/demo/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels'], type='PackSample'),
        ],
        test_mode=True,
        type='NLVR2Dataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
val_evaluator = dict(type='StatementAccuracy')
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
warmup = dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR')
work_dir = 'work_dirs/demo/nlvr2'
