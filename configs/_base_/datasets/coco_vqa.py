"""VQA v2 over COCO images, in the official files.

The files are made from the public downloads by ``tools/prepare/vqa.py``. As
published, the recipe trains on train and val together; ``test_dataloader``
reads the test questions, whose answers are not public. Text is processed as by
the official code (``clean_text``).
"""

data_root = '{{$IN_OUT_PATH:.}}/data/coco'
tokenizer = dict(vocab='{{$SOHO_BERT:bert-base-uncased}}', max_length=16, clean_text=False)
keys = ['question_id', 'answer_labels', 'answer_scores']
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResizeKeepRatio', scales=[(1333, 400), (1333, 800)]),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=keys),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeKeepRatio', scale=(1000, 600)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=keys),
]
source = dict(type='VQADataset', data_root=data_root, pipeline=train_pipeline)
loader = dict(num_workers=4, persistent_workers=True, pin_memory=True, collate_fn=dict(type='collate', size_divisor=32))
train_dataloader = dict(
    **loader,
    batch_size=32,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(ann_file='train_data_vqa.json', images='train2014', **source),
            dict(ann_file='val_data_vqa.json', images='val2014', **source),
        ],
    ),
)
test_dataloader = dict(
    **loader,
    batch_size=32,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type='VQADataset',
        data_root=data_root,
        ann_file='test_data_vqa.json',
        images='test2015',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type='VQAAccuracy')
test_cfg = dict(type='TestLoop')
