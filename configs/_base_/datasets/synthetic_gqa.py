"""Questions about the synthetic data set in the format of GQA; train, val and testdev have different images.

``tools/prepare/synthetic.py --also gqa`` and ``tools/prepare/gqa.py`` make the files. Trained on balanced questions;
val and testdev are all questions, so that every official metric can be computed.
"""

_base_ = './synthetic.py'
data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}/gqa'
tokenizer = dict(vocab='{{$SOHO_SYNTHETIC:data/synthetic/demo}}/vocab.txt', max_length=32)
pipeline = [
    dict(type='LoadImage', reduce_to=(96, 72)),
    dict(type='ResizeKeepRatio', scale=(96, 72)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=['question_id', 'answer_labels']),
]
source = dict(type='VQADataset', data_root=data_root, images='images', sentence_group=8, pipeline=pipeline)
train_dataloader = dict(dataset=dict(ann_file='train_data_gqa.json', **source))
val_dataloader = dict(dataset=dict(ann_file='val_all_data_gqa.json', test_mode=True, **source))
test_dataloader = dict(dataset=dict(ann_file='testdev_all_data_gqa.json', test_mode=True, **source))
val_evaluator = dict(
    type='GQAAccuracy', questions=data_root + '/val_all_questions.json', choices=data_root + '/val_choices.json'
)
test_evaluator = dict(
    type='GQAAccuracy',
    questions=data_root + '/testdev_all_questions.json',
    choices=data_root + '/testdev_choices.json',
    details=True,
)
