"""COCO captions and Visual Genome regions for pretraining, in the official files.

The files are made from the public downloads by ``tools/prepare/pretrain.py``.
Text is processed as by the official code (``clean_text``, ``mask_unknown``,
``replace_by_first``; see the docstrings of the classes).
"""

data_root = '{{$IN_OUT_PATH:.}}/data/vg_coco_pre'
tokenizer = dict(vocab='{{$SOHO_BERT:bert-base-uncased}}', max_length=16, clean_text=False)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeKeepRatio', scale=(1000, 600)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='MaskTokens', tokenizer=tokenizer, prob=0.15, mask_unknown=True),
    dict(type='DrawVisualMask', prob=0.015),
    dict(type='PackSample', keys=['mlm_labels', 'itm_labels', 'mvm_cell', 'mvm_sentences']),
]
source = dict(
    type='PretrainDataset', data_root=data_root, sentence_group=4, replace_by_first=True, pipeline=train_pipeline
)
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    collate_fn=dict(type='collate', size_divisor=32),
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(ann_file='coco_cap_train_pre.json', images='train2014', **source),
            dict(ann_file='coco_cap_val_pre.json', images='val2014', **source),
            dict(ann_file='vg_cap_pre.json', images='images', **source),
        ],
    ),
)
