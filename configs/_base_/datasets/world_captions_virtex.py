"""Captions of the generated world for VirTex, at a size that a laptop trains on.

Its vocabulary is made by

    python tools/prepare/vocabulary.py data/world/demo/annotations/captions_train2014.json \
        --size 250 --out data/world/demo/captions.model
"""
data_root = '{{$SOHO_WORLD:data/world/demo}}'
val_captions = data_root + '/annotations/captions_val2014.json'
tokenizer = dict(vocab=data_root + '/captions.model', max_length=30)
tokenize = dict(type='TokenizeCaption', tokenizer=tokenizer)
pack = dict(type='PackSample', keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'])
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type='collate'))
train_dataloader = dict(
    **loader,
    batch_size=32,
    drop_last=True,
    sampler=dict(type='EpochSampler', shuffle=True),
    dataset=dict(
        type='CaptioningDataset',
        data_root=data_root,
        ann_file='annotations/captions_train2014.json',
        images='train2014',
        pipeline=[
            dict(type='LoadImage', reduce_to=(192, 144)),
            dict(type='RandomResizedCrop', size=96, scale=(0.6, 1.0), ratio=(0.75, 1.333)),
            dict(type='RandomFlip', prob=0.5),
            tokenize,
            pack,
        ]))
val_dataloader = dict(
    **loader,
    batch_size=64,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='CaptioningDataset',
        data_root=data_root,
        ann_file='annotations/captions_val2014.json',
        images='val2014',
        test_mode=True,
        pipeline=[
            dict(type='LoadImage', reduce_to=(192, 144)),
            dict(type='ResizeShortest', size=96),
            dict(type='CenterCrop', size=96),
            tokenize,
            pack,
        ]))
val_evaluator = dict(type='CaptionMetrics', annotation_file=val_captions, tokenizer=tokenizer, java=False)
val_cfg = dict(type='ValLoop')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict(type='TestLoop')
