"""SOHO pretraining overfitted to a few real photographs with five captions each.

    python tools/train.py configs/Pretrain/soho_coco_photos.py

The published model at a quarter of its width, trained from scratch and without
dropout, on images of 128 x 96. The annotation file has the official format
(``captions`` for each image); the photographs are in ``permissive.zip`` next to
it. After 240 epochs (18 minutes on one core) 98.1 % of the masked tokens and
99.0 % of the pairs of the training set are predicted correctly. Log, config and
results: resources/runs/soho_coco_photos.
"""

_base_ = ['../_base_/models/soho_small.py', '../_base_/schedules/adamw_cosine.py', '../_base_/default_runtime.py']
data_root = '{{$COCO_PHOTOS:data/coco_photos}}'
model = dict(
    language=dict(
        vocab_size=30522, hidden_size=192, num_attention_heads=6, intermediate_size=768, initializer_range=0.07
    )
)
tokenizer = dict(vocab='{{$SOHO_BERT:bert-base-uncased}}', max_length=20)
pipeline = [
    dict(type='LoadImage', reduce_to=(128, 96)),
    dict(type='ResizeKeepRatio', scale=(128, 96)),
    dict(type='Tokenize', tokenizer=tokenizer),
    dict(type='MaskTokens', tokenizer=tokenizer, prob=0.15),
    dict(type='DrawVisualMask', prob=0.15),
    dict(type='PackSample', keys=['mlm_labels', 'itm_labels', 'mvm_cell', 'mvm_sentences']),
]
loader = dict(
    num_workers=1,
    persistent_workers=True,
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    collate_fn=dict(type='collate', size_divisor=16),
    dataset=dict(
        type='PretrainDataset',
        data_root=data_root,
        ann_file='permissive.json',
        images='permissive',
        sentence_group=5,
        pipeline=pipeline,
    ),
)
train_dataloader = dict(**loader, batch_size=8, sampler=dict(type='EpochSampler', shuffle=True))
# Validated on the training set: the test is whether the model can overfit it.
val_dataloader = dict(**loader, batch_size=16, sampler=dict(type='EpochSampler', shuffle=False, round_up=False))
val_evaluator = dict(type='PretrainMetrics')
val_cfg = dict(type='ValLoop')
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict(type='TestLoop')
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=240, val_interval=40)
param_scheduler = [
    {{_base_.warmup}},
    dict(type='CosineAnnealingLR', T_max=240, eta_min=1e-5, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=40, max_keep_ckpts=1))
