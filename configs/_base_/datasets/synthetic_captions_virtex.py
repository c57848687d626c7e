"""Captions of the synthetic data set for VirTex, at a size for training on a laptop.

Images are not cropped, because captions state the number and positions of objects. The vocabulary (149 words) is made
by

    python tools/prepare/vocabulary.py data/synthetic/demo/annotations/captions_train2014.json \
        --size 400 --out data/synthetic/demo/captions.model
"""

_base_ = './synthetic.py'
data_root = '{{$SOHO_SYNTHETIC:data/synthetic/demo}}'
val_captions = data_root + '/annotations/captions_val2014.json'
tokenizer = dict(vocab=data_root + '/captions.model', max_length=32)
load = dict(type='LoadImage', reduce_to=(128, 96))
resize = dict(type='ResizeKeepRatio', scale=(128, 96))
flip = dict(type='RandomFlip', prob=0.5)
tokenize = dict(type='TokenizeCaption', tokenizer=tokenizer)
pack = dict(type='PackSample', keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'])
source = dict(type='CaptioningDataset', data_root=data_root)
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        source,
        sentence_group=5,
        ann_file='annotations/captions_train2014.json',
        images='train2014',
        pipeline=[load, resize, flip, tokenize, pack],
    ),
)
val_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/captions_val2014.json',
        images='val2014',
        test_mode=True,
        pipeline=[load, resize, tokenize, pack],
    )
)
val_evaluator = dict(type='CaptionMetrics', annotation_file=val_captions, tokenizer=tokenizer, java=False)
test_dataloader = val_dataloader
test_evaluator = val_evaluator
