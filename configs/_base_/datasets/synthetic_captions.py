"""Captions and region descriptions of the synthetic data set, for pretraining."""

_base_ = './synthetic.py'
data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}'
tokenizer = dict(vocab=data_root + '/vocab.txt', max_length=32)
pipeline = [
    dict(type='LoadImage', reduce_to=(96, 72)),
    dict(type='ResizeKeepRatio', scale=(96, 72)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='MaskTokens', tokenizer=tokenizer, prob=0.15),
    dict(type='DrawVisualMask', prob=0.15),
    dict(type='PackSample', keys=['mlm_labels', 'itm_labels', 'mvm_cell', 'mvm_sentences']),
]
source = dict(type='PretrainDataset', data_root=data_root, sentence_group=5, pipeline=pipeline)
train_dataloader = dict(
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(ann_file='coco_cap_train_pre.json', images='train2014', **source),
            dict(ann_file='vg_cap_pre.json', images='images', **source),
        ],
    )
)
val_dataloader = dict(dataset=dict(ann_file='coco_cap_val_pre.json', images='val2014', **source))
test_dataloader = val_dataloader
val_evaluator = dict(type='PretrainMetrics')
test_evaluator = val_evaluator
