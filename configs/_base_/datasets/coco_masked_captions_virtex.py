"""COCO 2017 captions with masked tokens for VirTex."""

_base_ = './coco_virtex.py'
tokenize = dict(type='TokenizeCaption', tokenizer={{_base_.tokenizer}})
mask = dict(type='MaskCaption', tokenizer={{_base_.tokenizer}}, share=0.15, mask_prob=0.85, replace_prob=0.1)
pack = dict(type='PackSample', keys=['image_id', 'caption_tokens', 'masked_labels', 'caption_lengths'])
source = dict(type='CaptioningDataset', data_root={{_base_.data_root}})
train_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/captions_train2017.json',
        images='train2017',
        pipeline=[{{_base_.load}}, {{_base_.crop}}, {{_base_.flip}}, {{_base_.jitter}}, tokenize, mask, pack],
    )
)
val_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/captions_val2017.json',
        images='val2017',
        test_mode=True,
        pipeline=[{{_base_.load}}, {{_base_.shortest}}, {{_base_.center}}, tokenize, mask, pack],
    )
)
val_evaluator = dict(type='PretrainMetrics', objectives=('mlm',))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
