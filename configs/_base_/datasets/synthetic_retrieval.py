"""Captions of the synthetic data set for retrieval: trained on train2014, tested on all pairs of val2014."""

_base_ = './synthetic.py'
data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}'
tokenizer = dict(vocab=data_root + '/vocab.txt', max_length=32)
pipeline = [
    dict(type='LoadImage', reduce_to=(96, 72)),
    dict(type='ResizeKeepRatio', scale=(96, 72)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=['itm_labels', 'image_index']),
]
source = dict(type='RetrievalDataset', data_root=data_root, pipeline=pipeline)
train_dataloader = dict(dataset=dict(ann_file='coco_cap_train_pre.json', images='train2014', **source))
test_dataloader = dict(dataset=dict(ann_file='coco_cap_val_pre.json', images='val2014', test_mode=True, **source))
test_evaluator = dict(type='RetrievalRecall')
test_cfg = dict(type='RetrievalTestLoop', pairs=512)
val_dataloader, val_cfg = None, None
