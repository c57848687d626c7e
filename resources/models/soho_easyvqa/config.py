data_root = 'data/easy_vqa'
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=3, rule='greater', save_best='accuracy', type='CheckpointHook'),
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
keys = ['question_id', 'answer_labels', 'answer_scores']
launcher = 'none'
load_from = None
loader = dict(collate_fn=dict(type='collate'), num_workers=1, persistent_workers=True)
log_level = 'INFO'
log_processor = dict(window_size=50)
model = dict(
    backbone=dict(depth=18, num_stages=3, out_indices=(2,), type='ResNet', zero_init_residual=True),
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    heads=dict(vqa=dict(dropout=0.1, num_classes=13, type='ClassificationHead')),
    language=dict(
        attention_probs_dropout_prob=0.0,
        hidden_dropout_prob=0.0,
        hidden_size=128,
        initializer_range=0.08,
        intermediate_size=512,
        num_attention_heads=4,
        num_hidden_layers=3,
        type='CrossModalBert',
        vocab_size=152,
    ),
    neck=dict(in_channels=256, pool=1, type='PlainNeck'),
    type='SOHO',
)
optim_wrapper = dict(
    clip_grad=dict(max_norm=5.0),
    dtype='bfloat16',
    optimizer=dict(fused=True, lr=0.0005, type='AdamW', weight_decay=0.01),
    type='AmpOptimWrapper',
)
param_scheduler = [
    dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR'),
    dict(T_max=16, convert_to_iter_based=True, eta_min=1e-05, type='CosineAnnealingLR'),
]
randomness = dict(diff_rank_seed=True, seed=0)
resume = False
source = dict(data_root='data/easy_vqa', sentence_group=10, type='VQADataset')
sync_bn = True
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=32,
    collate_fn=dict(type='collate'),
    dataset=dict(
        ann_file='test_data_vqa.json',
        data_root='data/easy_vqa',
        images='test',
        pipeline=[
            dict(type='LoadImage'),
            dict(tokenizer=dict(max_length=14, vocab='data/easy_vqa/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
        ],
        sentence_group=10,
        test_mode=True,
        type='VQADataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
test_evaluator = dict(annotation_file='data/easy_vqa/test_answers.json', type='VQAAccuracy')
test_pipeline = [
    dict(type='LoadImage'),
    dict(tokenizer=dict(max_length=14, vocab='data/easy_vqa/vocab.txt'), type='Tokenize'),
    dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
]
tokenizer = dict(max_length=14, vocab='data/easy_vqa/vocab.txt')
train_cfg = dict(max_epochs=16, type='EpochBasedTrainLoop', val_interval=2)
train_dataloader = dict(
    batch_size=8,
    collate_fn=dict(type='collate'),
    dataset=dict(
        ann_file='train_data_vqa.train.json',
        data_root='data/easy_vqa',
        images='train',
        pipeline=[
            dict(type='LoadImage'),
            dict(prob=0.5, type='RandomFlip'),
            dict(tokenizer=dict(max_length=14, vocab='data/easy_vqa/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
        ],
        sentence_group=10,
        type='VQADataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(shuffle=True, type='EpochSampler'),
)
train_pipeline = [
    dict(type='LoadImage'),
    dict(prob=0.5, type='RandomFlip'),
    dict(tokenizer=dict(max_length=14, vocab='data/easy_vqa/vocab.txt'), type='Tokenize'),
    dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
]
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=32,
    collate_fn=dict(type='collate'),
    dataset=dict(
        ann_file='train_data_vqa.val.json',
        data_root='data/easy_vqa',
        images='train',
        pipeline=[
            dict(type='LoadImage'),
            dict(tokenizer=dict(max_length=14, vocab='data/easy_vqa/vocab.txt'), type='Tokenize'),
            dict(keys=['question_id', 'answer_labels', 'answer_scores'], type='PackSample'),
        ],
        sentence_group=10,
        test_mode=True,
        type='VQADataset',
    ),
    num_workers=1,
    persistent_workers=True,
    sampler=dict(round_up=False, shuffle=False, type='EpochSampler'),
)
val_evaluator = dict(type='VQAAccuracy')
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
warmup = dict(begin=0, by_epoch=False, end=100, start_factor=0.05, type='LinearLR')
work_dir = 'work_dirs/VQA/soho_easyvqa'
