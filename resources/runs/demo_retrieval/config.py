data_root = 'data/synthetic/demo'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3, type='CheckpointHook'),
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
launcher = 'none'
load_from = 'resources/runs/soho_synthetic/model.safetensors'
log_level = 'INFO'
log_processor = dict(window_size=50)
model = dict(
    backbone=dict(depth=18, frozen_stages=1, num_stages=2, out_indices=(1,), type='ResNet', zero_init_residual=True),
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    heads=dict(itm=dict(hardest=None, type='RetrievalHead')),
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
    neck=dict(
        dictionary=dict(decay=0.9, num_words=256, unused_words='restart'),
        in_channels=128,
        pool=2,
        type='DictionaryNeck',
    ),
    type='SOHO',
)
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    constructor='PatternConstructor',
    dtype='bfloat16',
    optimizer=dict(fused=True, lr=0.0002, type='AdamW', weight_decay=0.01),
    paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.2)}),
    type='AmpOptimWrapper',
)
param_scheduler = [
    dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR'),
    dict(T_max=1, convert_to_iter_based=True, eta_min=1e-05, type='CosineAnnealingLR'),
]
pipeline = [
    dict(reduce_to=(96, 72), type='LoadImage'),
    dict(scale=(96, 72), type='ResizeKeepRatio'),
    dict(tokenizer=dict(max_length=32, vocab='data/synthetic/demo/vocab.txt'), type='Tokenize'),
    dict(keys=['itm_labels', 'image_index'], type='PackSample'),
]
randomness = dict(diff_rank_seed=True, seed=0)
resume = 'auto'
source = dict(
    data_root='data/synthetic/demo',
    pipeline=[
        dict(reduce_to=(96, 72), type='LoadImage'),
        dict(scale=(96, 72), type='ResizeKeepRatio'),
        dict(tokenizer=dict(max_length=32, vocab='data/synthetic/demo/vocab.txt'), type='Tokenize'),
        dict(keys=['itm_labels', 'image_index'], type='PackSample'),
    ],
    type='RetrievalDataset',
)
sync_bn = True
test_cfg = dict(pairs=512, type='RetrievalTestLoop')
test_dataloader = dict(
    batch_sampler=dict(boundaries=[0.8, 1.2], type='AspectRatioBatchSampler'),
    batch_size=32,
    collate_fn=dict(size_divisor=16, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='coco_cap_val_pre.json',
        data_root='data/synthetic/demo',
        images='val2014',
        pipeline=[
            dict(reduce_to=(96, 72), type='LoadImage'),
            dict(scale=(96, 72), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=32, vocab='data/synthetic/demo/vocab.txt'), type='Tokenize'),
            dict(keys=['itm_labels', 'image_index'], type='PackSample'),
        ],
        test_mode=True,
        type='RetrievalDataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
test_evaluator = dict(type='RetrievalRecall')
tokenizer = dict(max_length=32, vocab='data/synthetic/demo/vocab.txt')
train_cfg = dict(max_epochs=1, type='EpochBasedTrainLoop')
train_dataloader = dict(
    batch_sampler=dict(boundaries=[0.8, 1.2], drop_last=True, type='AspectRatioBatchSampler'),
    batch_size=8,
    collate_fn=dict(size_divisor=16, trim_text=True, type='collate'),
    dataset=dict(
        ann_file='coco_cap_train_pre.json',
        data_root='data/synthetic/demo',
        images='train2014',
        negatives=9,
        pipeline=[
            dict(reduce_to=(96, 72), type='LoadImage'),
            dict(scale=(96, 72), type='ResizeKeepRatio'),
            dict(tokenizer=dict(max_length=32, vocab='data/synthetic/demo/vocab.txt'), type='Tokenize'),
            dict(keys=['itm_labels', 'image_index'], type='PackSample'),
        ],
        type='RetrievalDataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='EpochSampler'),
)
val_cfg = None
val_dataloader = None
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
warmup = dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR')
work_dir = 'work_dirs/demo/retrieval'
