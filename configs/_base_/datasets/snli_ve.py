"""SNLI-VE over Flickr30k images, in the official files with the sizes of the images.

``tools/prepare/snli_ve.py`` checks the downloads and adds the sizes.
"""

data_root = '{{$IN_OUT_PATH:.}}/data/flickr30k'
tokenizer = dict(vocab='{{$SOHO_BERT:bert-base-uncased}}', max_length=32)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResizeKeepRatio', scales=[(1000, 400), (1000, 600)]),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=['question_id', 'answer_labels']),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeKeepRatio', scale=(1000, 600)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=['question_id', 'answer_labels']),
]
source = dict(type='SNLIVEDataset', data_root=data_root, images='flickr30k-images', sentence_group=6)
loader = dict(
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    collate_fn=dict(type='collate', size_divisor=32, trim_text=True),
)
train_dataloader = dict(
    **loader,
    batch_size=8,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(ann_file='snli_ve/snli_ve_train.jsonl', pipeline=train_pipeline, **source),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(ann_file='snli_ve/snli_ve_dev.jsonl', test_mode=True, pipeline=test_pipeline, **source),
)
test_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(ann_file='snli_ve/snli_ve_test.jsonl', test_mode=True, pipeline=test_pipeline, **source),
)
metric = dict(type='SNLIVEAccuracy', training_file=data_root + '/snli_ve/snli_ve_train.jsonl')
val_evaluator = dict(evaluated_file=data_root + '/snli_ve/snli_ve_dev.jsonl', **metric)
test_evaluator = dict(evaluated_file=data_root + '/snli_ve/snli_ve_test.jsonl', **metric)
val_cfg, test_cfg = dict(type='ValLoop'), dict(type='TestLoop')
