"""Published optimisation of detectors: SGD at 0.02 for 16 images, norms without decay, no mixed precision.

A recipe adds ``train_cfg`` and ``param_scheduler``. Source: detectron2's defaults.
"""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
custom_hooks = [dict(type='PreciseNormHook', batches=200)]
