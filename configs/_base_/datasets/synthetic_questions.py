"""Questions about the synthetic data set; train, val and test have different images."""

_base_ = './synthetic.py'
data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}'
tokenizer = dict(vocab=data_root + '/vocab.txt', max_length=16)
pipeline = [
    dict(type='LoadImage', reduce_to=(96, 72)),
    dict(type='ResizeKeepRatio', scale=(96, 72)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=['question_id', 'answer_labels', 'answer_scores']),
]
source = dict(type='VQADataset', data_root=data_root, sentence_group=8, pipeline=pipeline)
train_dataloader = dict(dataset=dict(ann_file='train_data_vqa.json', images='train2014', **source))
val_dataloader = dict(dataset=dict(ann_file='val_data_vqa.json', images='val2014', test_mode=True, **source))
test_dataloader = dict(dataset=dict(ann_file='test_data_vqa.json', images='test2015', test_mode=True, **source))
val_evaluator = dict(type='VQAAccuracy', annotation_file=data_root + '/v2_mscoco_val2014_annotations.json')
test_evaluator = dict(type='VQAAccuracy', annotation_file=data_root + '/v2_mscoco_test2015_annotations.json')
