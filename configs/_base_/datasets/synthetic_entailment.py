"""Statements about the synthetic data set in the format of SNLI-VE; train, dev and test have different images.

Made by ``python tools/prepare/synthetic.py --size demo --also snli_ve``. The text alone predicts 36.5 % of the test
statements (the most frequent training label of the same sentence).
"""

_base_ = './synthetic.py'
data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}'
tokenizer = dict(vocab=data_root + '/vocab.txt', max_length=24)
pipeline = [
    dict(type='LoadImage', reduce_to=(96, 72)),
    dict(type='ResizeKeepRatio', scale=(96, 72)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=['question_id', 'answer_labels']),
]
source = dict(type='SNLIVEDataset', data_root=data_root, sentence_group=7, pipeline=pipeline)
train_dataloader = dict(dataset=dict(ann_file='snli_ve/snli_ve_train.jsonl', images='train2014', **source))
val_dataloader = dict(dataset=dict(ann_file='snli_ve/snli_ve_dev.jsonl', images='val2014', test_mode=True, **source))
test_dataloader = dict(dataset=dict(ann_file='snli_ve/snli_ve_test.jsonl', images='test2015', test_mode=True, **source))
metric = dict(type='SNLIVEAccuracy', training_file=data_root + '/snli_ve/snli_ve_train.jsonl')
val_evaluator = dict(evaluated_file=data_root + '/snli_ve/snli_ve_dev.jsonl', **metric)
test_evaluator = dict(evaluated_file=data_root + '/snli_ve/snli_ve_test.jsonl', **metric)
