"""GQA: the balanced questions of train and val, validated on testdev; the server scores ``submission``.

``tools/prepare/gqa.py`` makes the files. The questions of an image share it in evaluation.
"""

data_root = '{{$IN_OUT_PATH:.}}/data/gqa'
tokenizer = dict(vocab='{{$SOHO_BERT:bert-base-uncased}}', max_length=32)
pack = [dict(type='Tokenize', tokenizer=tokenizer), dict(type='PackSample', keys=['question_id', 'answer_labels'])]
train_pipeline = [dict(type='LoadImage'), dict(type='RandomResizeKeepRatio', scales=[(1333, 400), (1333, 600)]), *pack]
test_pipeline = [dict(type='LoadImage'), dict(type='ResizeKeepRatio', scale=(1000, 600)), *pack]
loader = dict(
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='collate', size_divisor=32),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
)
source = dict(type='VQADataset', data_root=data_root, images='images', sentence_group=4)
train_part = dict(ann_file='train_data_gqa.json', pipeline=train_pipeline, **source)
train_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        datasets=[train_part, dict(ann_file='val_data_gqa.json', pipeline=train_pipeline, **source)],
    ),
)
evaluation = dict(**loader, batch_size=16, sampler=dict(type='EpochSampler', shuffle=False, round_up=False))
val_dataloader = dict(
    **evaluation, dataset=dict(ann_file='testdev_data_gqa.json', test_mode=True, pipeline=test_pipeline, **source)
)
test_dataloader = dict(
    **evaluation, dataset=dict(ann_file='submission_data_gqa.json', test_mode=True, pipeline=test_pipeline, **source)
)
val_evaluator = dict(type='GQAAccuracy', questions=data_root + '/testdev_balanced_questions.json')
test_evaluator = dict(type='GQAAccuracy', questions=data_root + '/submission_all_questions.json')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
