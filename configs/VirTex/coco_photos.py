"""VirTex overfitted to a few real photographs with five captions each.

    python tools/prepare/captions.py data/coco_photos/permissive.json --out data/coco_photos/captions.json
    python tools/prepare/vocabulary.py data/coco_photos/captions.json --size 1000 --out data/coco_photos/captions.model
    python tools/train.py configs/VirTex/coco_photos.py

The published method at a size for two CPU cores, trained from scratch and without dropout, on whole images of 128 x 96.
After 240 epochs (8 minutes on one core) every generated caption is one of the photograph's own, CIDEr 2.80 (captions
of another photograph: 0.03; one reference against the other four: 1.02). Log, config and results:
resources/runs/virtex_coco_photos.
"""

_base_ = ['../_base_/models/virtex.py', '../_base_/schedules/adamw_cosine.py', '../_base_/default_runtime.py']
data_root = '{{$COCO_PHOTOS:data/coco_photos}}'
model = dict(
    backbone=dict(depth=18, num_stages=3, out_indices=(2,)),
    language=dict(visual_size=256, vocab_size=1000, hidden_size=256, num_heads=4, dropout=0.0, initializer_range=0.06),
)
tokenizer = dict(vocab=data_root + '/captions.model', max_length=30)
pipeline = [
    dict(type='LoadImage', reduce_to=(128, 96)),
    dict(type='ResizeKeepRatio', scale=(128, 96)),
    dict(type='TokenizeCaption', tokenizer=tokenizer),
    dict(type='PackSample', keys=['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths']),
]
source = dict(
    type='CaptioningDataset', data_root=data_root, ann_file='captions.json', images='permissive', pipeline=pipeline
)
loader = dict(num_workers=0, collate_fn=dict(type='collate', size_divisor=16))
train_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=source,
)
# Validated on the training set: the test is whether the model can overfit it.
val_dataloader = dict(
    **loader,
    batch_size=16,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(test_mode=True, **source),
)
val_evaluator = dict(
    type='CaptionMetrics', annotation_file=data_root + '/captions.json', tokenizer=tokenizer, java=False
)
val_cfg = dict(type='ValLoop')
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict(type='TestLoop')
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=240, val_interval=40)
param_scheduler = [
    {{_base_.warmup}},
    dict(type='CosineAnnealingLR', T_max=240, eta_min=1e-5, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=40, max_keep_ckpts=1))
