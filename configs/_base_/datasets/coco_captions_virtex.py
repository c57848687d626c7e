"""COCO 2017 captions for VirTex: short edge 224 for validation, 256 cropped to 224 for the test."""

_base_ = './coco_virtex.py'
tokenize = dict(type='TokenizeCaption', tokenizer={{_base_.tokenizer}})
pack = dict(type='PackSample', keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'])
source = dict(type='CaptioningDataset', data_root={{_base_.data_root}})
val_source = dict(source, ann_file='annotations/captions_val2017.json', images='val2017', test_mode=True)
train_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/captions_train2017.json',
        images='train2017',
        pipeline=[{{_base_.load}}, {{_base_.crop}}, {{_base_.flip}}, {{_base_.jitter}}, tokenize, pack],
    )
)
val_dataloader = dict(
    dataset=dict(val_source, pipeline=[{{_base_.load}}, {{_base_.shortest}}, {{_base_.center}}, tokenize, pack])
)
val_evaluator = dict(type='CaptionMetrics', annotation_file={{_base_.val_captions}}, tokenizer={{_base_.tokenizer}})
test_dataloader = dict(
    dataset=dict(
        val_source,
        pipeline=[{{_base_.load}}, dict(type='ResizeShortEdge', size=256), {{_base_.center}}, tokenize, pack],
    )
)
test_evaluator = val_evaluator
