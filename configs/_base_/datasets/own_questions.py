"""Questions about pictures of one's own, as ``tools/prepare/table.py`` writes them beside a config of their own."""

data_root = 'data/own'
pretrained = '{{$SOHO_PRETRAINED:data/pretrained}}'
tokenizer = dict(vocab=pretrained + '/minilm/vocab.txt', max_length=24)
keys = ['question_id', 'answer_labels', 'answer_scores']
train_pipeline = [
    dict(type='LoadImage', reduce_to=(320, 240)),
    dict(type='ResizeKeepRatio', scale=(320, 240)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=keys),
]
test_pipeline = [train_pipeline[0], train_pipeline[1], train_pipeline[3], train_pipeline[4]]
source = dict(type='VQADataset', data_root=data_root, sentence_group=8)
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type='collate', size_divisor=32, trim_text=True))
train_dataloader = dict(
    **loader,
    batch_size=8,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(**source, ann_file='train.json', images='images', pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(**source, ann_file='val.json', images='images', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='VQAAccuracy')
val_cfg = dict(type='ValLoop')
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict(type='TestLoop')
