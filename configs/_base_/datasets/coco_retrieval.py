"""COCO captions in the Karpathy split, for image-text retrieval.

The files are made from the public downloads by ``tools/prepare/retrieval.py coco``. Trained on 113,287 images,
validated on the first 1,000 of the 5,000 validation images, tested on all pairs of the 5,000 test images with their
25,010 captions: at once ("5K"), and as the mean of five folds ("1K", ``folds/``).
"""

data_root = '{{$IN_OUT_PATH:.}}/data/coco'
tokenizer = dict(vocab='{{$SOHO_BERT:bert-base-uncased}}', max_length=32)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomResizeKeepRatio', scales=[(1000, 400), (1000, 600)]),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=['itm_labels', 'image_index']),
]
test_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeKeepRatio', scale=(1000, 600)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='PackSample', keys=['itm_labels', 'image_index']),
]
source = dict(type='RetrievalDataset', data_root=data_root)
loader = dict(
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    collate_fn=dict(type='collate', size_divisor=32, trim_text=True),
)
train_dataloader = dict(
    **loader,
    batch_size=8,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(ann_file='retrieval_train.json', images='train2014', negatives=20, pipeline=train_pipeline, **source),
            dict(ann_file='retrieval_restval.json', images='val2014', negatives=20, pipeline=train_pipeline, **source),
        ],
    ),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        ann_file='retrieval_val.json',
        images='val2014',
        num_images_used=1000,
        test_mode=True,
        pipeline=test_pipeline,
        **source,
    ),
)
test_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(ann_file='retrieval_test.json', images='val2014', test_mode=True, pipeline=test_pipeline, **source),
)
val_evaluator = dict(type='RetrievalRecall')
test_evaluator = dict(type='RetrievalRecall', folds=5)
val_cfg = dict(type='RetrievalValLoop')
test_cfg = dict(type='RetrievalTestLoop', keep_scores=True)
