"""SOHO on NLVR (lil.nlp.cornell.edu/nlvr), from scratch: whether a sentence is true of a drawing of three boxes.

    python tools/train.py configs/NLVR/soho_nlvr.py
    python tools/test.py configs/NLVR/soho_nlvr.py work_dirs/NLVR/soho_nlvr/CHECKPOINT --out test.csv

``data/nlvr`` holds train.jsonl, dev.jsonl, test.jsonl (the official json files) and the images, a folder or zip a
split. All six orders of the boxes are samples, and are scored by the official rule.

On a cut of 1,000 of the 12,410 training examples it does not get beyond "always true" (dev 55.31, test 56.16;
docs/results.md and resources/runs/soho_nlvr); the full training set was not at hand.
"""

_base_ = ['../_base_/models/soho_small.py', '../_base_/schedules/adamw_cosine.py', '../_base_/default_runtime.py']
data_root = '{{$NLVR:data/nlvr}}'
model = dict(
    neck=dict(_delete_=True, type='PlainNeck', in_channels=128, pool=1),
    heads=dict(_delete_=True, nlvr=dict(type='ClassificationHead', num_classes=2, loss='ce', dropout=0.1)),
    language=dict(vocab_size=30522),
)
tokenizer = dict(vocab='{{$SOHO_BERT:bert-base-uncased}}', max_length=40)
load = [dict(type='LoadImage'), dict(type='ResizeKeepRatio', scale=(200, 50))]  # of 400 x 100
pack = [dict(type='Tokenize', tokenizer=tokenizer), dict(type='PackSample', keys=['question_id', 'answer_labels'])]
train_pipeline = [*load, dict(type='RandomFlip', prob=0.5), *pack]
test_pipeline = [*load, *pack]
loader = dict(num_workers=0, collate_fn=dict(type='collate', size_divisor=8, trim_text=True))
source = dict(type='NLVRDataset', data_root=data_root)
train_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(**source, ann_file='train.jsonl', images='train', pipeline=train_pipeline),
)
evaluation = dict(**loader, batch_size=64, sampler=dict(type='EpochSampler', shuffle=False, round_up=False))
val_dataloader = dict(
    **evaluation, dataset=dict(**source, ann_file='dev.jsonl', images='dev', test_mode=True, pipeline=test_pipeline)
)
test_dataloader = dict(
    **evaluation, dataset=dict(**source, ann_file='test.jsonl', images='test', test_mode=True, pipeline=test_pipeline)
)
val_evaluator = dict(type='StatementAccuracy', majority_answer='True')
test_evaluator = dict(type='StatementAccuracy', majority_answer='True')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=4, eta_min=1e-5, convert_to_iter_based=True)]
default_hooks = dict(checkpoint=dict(save_best='accuracy', rule='greater'))
