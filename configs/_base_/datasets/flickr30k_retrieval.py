"""Flickr30k in the Karpathy split, for image-text retrieval.

The files are made from the public downloads by ``tools/prepare/retrieval.py flickr30k``. Trained on 29,000 images,
validated on all pairs of 1,014 and tested on all pairs of 1,000 images with their 5,000 captions.
"""

data_root = '{{$IN_OUT_PATH:.}}/data/flickr30k'
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
source = dict(type='RetrievalDataset', data_root=data_root, images='flickr30k-images')
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
    dataset=dict(ann_file='retrieval_train.json', negatives=20, pipeline=train_pipeline, **source),
)
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(ann_file='retrieval_val.json', test_mode=True, pipeline=test_pipeline, **source),
)
test_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(ann_file='retrieval_test.json', test_mode=True, pipeline=test_pipeline, **source),
)
val_evaluator = dict(type='RetrievalRecall')
test_evaluator = dict(type='RetrievalRecall')
val_cfg = dict(type='RetrievalValLoop')
test_cfg = dict(type='RetrievalTestLoop', keep_scores=True)
