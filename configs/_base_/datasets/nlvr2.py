"""NLVR2 in the official files, with image names and sizes added by ``tools/prepare/nlvr2.py``.

Statements of one pair share its images in evaluation. ``swap_averaging=True`` in the test data set averages both
orders of a pair, at twice the cost.
"""

data_root = '{{$IN_OUT_PATH:.}}/data/nlvr2'
tokenizer = dict(vocab='{{$SOHO_BERT:bert-base-uncased}}', max_length=60)
pack = [dict(type='Tokenize', tokenizer=tokenizer), dict(type='PackSample', keys=['question_id', 'answer_labels'])]
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResizeKeepRatio', scales=[(1000, 400), (1000, 600)]),
    dict(type='SwapImages', prob=0.5),
    *pack,
]
test_pipeline = [dict(type='LoadImage'), dict(type='ResizeKeepRatio', scale=(1000, 600)), *pack]
loader = dict(
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='collate', size_divisor=32),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
)
train_dataloader = dict(
    **loader,
    batch_size=8,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(
        type='NLVR2Dataset',
        data_root=data_root,
        ann_file='nlvr2_train.jsonl',
        images='images/train',
        pipeline=train_pipeline,
    ),
)
evaluation = dict(**loader, batch_size=16, sampler=dict(type='EpochSampler', shuffle=False, round_up=False))
source = dict(type='NLVR2Dataset', data_root=data_root, sentence_group=2, test_mode=True, pipeline=test_pipeline)
val_dataloader = dict(**evaluation, dataset=dict(**source, ann_file='nlvr2_dev.jsonl', images='images/dev'))
test_dataloader = dict(**evaluation, dataset=dict(**source, ann_file='nlvr2_test1.jsonl', images='images/test1'))
val_evaluator = dict(type='StatementAccuracy', majority_answer='True')
test_evaluator = dict(type='StatementAccuracy', majority_answer='True')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
