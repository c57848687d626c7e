"""Image classification at 224 x 224 pixels with one label per image; 256 images over eight GPUs."""

crop = dict(type='RandomResizedCrop', size=224, scale=(0.08, 1.0), ratio=(0.75, 1.333))
flip = dict(type='RandomFlip', prob=0.5)
shortest = dict(type='ResizeShortEdge', size=256)
center = dict(type='CenterCrop', size=224)
pack = dict(type='PackSample', keys=['attribute_labels'])
loader = dict(batch_size=32, num_workers=4, persistent_workers=True, pin_memory=True, collate_fn=dict(type='collate'))
train_dataloader = dict(**loader, sampler=dict(type='EpochSampler', shuffle=True))
val_dataloader = dict(**loader, sampler=dict(type='EpochSampler', shuffle=False, round_up=False))
val_evaluator = dict(type='AttributeAccuracy', top_k=(1, 5))
val_cfg = dict(type='ValLoop')
test_dataloader = val_dataloader
test_evaluator = val_evaluator
test_cfg = dict(type='TestLoop')
