"""COCO 2017 captions for VirTex, with the tokens of a caption as labels of the image."""

_base_ = './coco_virtex.py'
tokenize = dict(type='TokenizeCaption', tokenizer={{_base_.tokenizer}})
pack = dict(type='PackSample', keys=['image_id', 'label_set'])
source = dict(type='CaptioningDataset', data_root={{_base_.data_root}})
train_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/captions_train2017.json',
        images='train2017',
        pipeline=[
            {{_base_.load}},
            {{_base_.crop}},
            {{_base_.flip}},
            {{_base_.jitter}},
            tokenize,
            dict(type='LabelTokens'),
            pack,
        ],
    )
)
val_dataloader = dict(
    dataset=dict(
        source,
        ann_file='annotations/captions_val2017.json',
        images='val2017',
        test_mode=True,
        pipeline=[{{_base_.load}}, {{_base_.shortest}}, {{_base_.center}}, tokenize, dict(type='LabelTokens'), pack],
    )
)
val_evaluator = dict(type='PretrainMetrics', objectives=('classification',))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
