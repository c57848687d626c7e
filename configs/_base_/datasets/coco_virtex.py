"""COCO 2017 for VirTex: settings shared by its pretraining tasks; 256 images over eight GPUs.

Images lie in ``train2017`` and ``val2017`` (folders or zips), the json files of the download in ``annotations``. The
vocabulary is made by

    python tools/prepare/vocabulary.py data/coco/annotations/captions_train2017.json --out data/coco/vocab_10k.model
"""

data_root = '{{$IN_OUT_PATH:.}}/data/coco'
tokenizer = dict(vocab=data_root + '/vocab_10k.model', max_length=30)
val_captions = data_root + '/annotations/captions_val2017.json'
load = dict(type='LoadImage')
crop = dict(type='RandomResizedCrop', size=224, scale=(0.2, 1.0), ratio=(0.75, 1.333))
flip = dict(type='RandomFlip', prob=0.5, within_words=True)  # as published, a known bug
jitter = dict(type='ColorJitter', brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=0.8)
shortest = dict(type='ResizeShortEdge', size=224)
center = dict(type='CenterCrop', size=224)
loader = dict(batch_size=32, num_workers=4, persistent_workers=True, pin_memory=True, collate_fn=dict(type='collate'))
train_dataloader = dict(**loader, drop_last=True, sampler=dict(type='EpochSampler', shuffle=True))
val_dataloader = dict(**loader, sampler=dict(type='EpochSampler', shuffle=False, round_up=False))
val_cfg = dict(type='ValLoop')
test_dataloader = val_dataloader
test_cfg = dict(type='TestLoop')
