"""Statements about pairs of the synthetic data set's pictures; train, dev and test1 have different pictures.

``tools/prepare/synthetic.py --also nlvr2`` makes them.
"""

_base_ = './synthetic.py'
data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}'
tokenizer = dict(vocab=data_root + '/vocab.txt', max_length=40)
load = [dict(type='LoadImage', reduce_to=(96, 72)), dict(type='ResizeKeepRatio', scale=(96, 72))]
pack = [dict(type='Tokenize', tokenizer=tokenizer), dict(type='PackSample', keys=['question_id', 'answer_labels'])]
source = dict(type='NLVR2Dataset', data_root=data_root)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        **source,
        ann_file='nlvr2/train.jsonl',
        images='train2014',
        pipeline=[*load, dict(type='SwapImages', prob=0.5), *pack],
    ),
)
val_dataloader = dict(
    dataset=dict(**source, ann_file='nlvr2/dev.jsonl', images='val2014', test_mode=True, pipeline=[*load, *pack])
)
test_dataloader = dict(
    dataset=dict(**source, ann_file='nlvr2/test1.jsonl', images='test2015', test_mode=True, pipeline=[*load, *pack])
)
val_evaluator = dict(type='StatementAccuracy')
test_evaluator = dict(type='StatementAccuracy')
