"""Settings shared by all tasks on the synthetic data set, at a size for training on a laptop.

Images of 480 to 640 pixels are resized to 96, by one worker process: the demo's trainings compute on one thread.

The data are made by ``tools/prepare/synthetic.py``, ``vqa.py`` and
``pretrain.py``, which ``make demo`` calls.
"""

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='EpochSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler', boundaries=[0.8, 1.2], drop_last=True),
    collate_fn=dict(type='collate', size_divisor=16, trim_text=True),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    batch_sampler=dict(type='AspectRatioBatchSampler', boundaries=[0.8, 1.2]),
    collate_fn=dict(type='collate', size_divisor=16, trim_text=True),
)
val_cfg = dict(type='ValLoop')
test_dataloader = val_dataloader
test_cfg = dict(type='TestLoop')
