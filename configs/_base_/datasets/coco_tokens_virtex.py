"""COCO 2017 captions for VirTex, whose tokens are the labels of the image."""
_base_ = './coco_virtex.py'
train_dataloader = dict(
    dataset=dict(
        type='CaptioningDataset',
        data_root={{_base_.data_root}},
        ann_file='annotations/captions_train2017.json',
        images='train2017',
        pipeline=[{{_base_.load}}, {{_base_.crop}}, {{_base_.flip}}, {{_base_.jitter}},
                  dict(type='TokenizeCaption', tokenizer={{_base_.tokenizer}}), dict(type='LabelTokens'),
                  dict(type='PackSample', keys=['image_id', 'labels'])]))
val_dataloader = None
