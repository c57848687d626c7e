"""AdamW for all parameters in bfloat16, for training from scratch. A recipe adds its ``param_scheduler``.

With twice the learning rate the small transformer never learns to attend to the image.
"""

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=5.0),
)
warmup = dict(type='LinearLR', start_factor=0.05, by_epoch=False, begin=0, end=100)
