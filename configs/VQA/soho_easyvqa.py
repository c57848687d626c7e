"""SOHO on easy-VQA (github.com/vzhou842/easy-VQA), from scratch: 64 x 64 images of one shape, 13 answers.

    python tools/prepare/easy_vqa.py                              # the data, 6 MB
    python tools/prepare/split.py data/easy_vqa/train_data_vqa.json --val 0.1
    python tools/train.py configs/VQA/soho_easyvqa.py
    python tools/test.py configs/VQA/soho_easyvqa.py work_dirs/VQA/soho_easyvqa/epoch_16.pth

Test accuracy 99.71 % (28 of 9,673 wrong; the most frequent answer to the question's text 67.0 %; the reference Keras
model 93.78 % in a typical run), in half an hour of one core. The last epoch was taken, 99.69 % on the validation split.
The model ships with soho: ``soho ask PICTURE QUESTION --model soho_easyvqa``; log: resources/models/soho_easyvqa.
"""

_base_ = ['../_base_/models/soho_small.py', '../_base_/schedules/adamw_cosine.py', '../_base_/default_runtime.py']
data_root = '{{$EASY_VQA:data/easy_vqa}}'
model = dict(
    backbone=dict(num_stages=3, out_indices=(2,)),
    neck=dict(_delete_=True, type='PlainNeck', in_channels=256, pool=1),
    heads=dict(_delete_=True, vqa=dict(type='ClassificationHead', num_classes=13, dropout=0.1)),
    language=dict(vocab_size=152),
)
tokenizer = dict(vocab=data_root + '/vocab.txt', max_length=14)
keys = ['question_id', 'answer_labels', 'answer_scores']
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=keys),
]
test_pipeline = [dict(type='LoadImage'), dict(type='Tokenize', tokenizer=tokenizer), dict(type='PackSample', keys=keys)]
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type='collate'))
source = dict(type='VQADataset', data_root=data_root, sentence_group=10)
train_dataloader = dict(
    **loader,
    batch_size=8,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(**source, ann_file='train_data_vqa.train.json', images='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    batch_size=32,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(**source, ann_file='train_data_vqa.val.json', images='train', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='VQAAccuracy')
val_cfg = dict(type='ValLoop')
test_dataloader = dict(
    **loader,
    batch_size=32,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(**source, ann_file='test_data_vqa.json', images='test', test_mode=True, pipeline=test_pipeline),
)
test_evaluator = dict(type='VQAAccuracy', annotation_file=data_root + '/test_answers.json')
test_cfg = dict(type='TestLoop')
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=16, val_interval=2)
param_scheduler = [
    {{_base_.warmup}},
    dict(type='CosineAnnealingLR', T_max=16, eta_min=1e-5, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(save_best='accuracy', rule='greater'))
