"""Published optimisation of SOHO: AdamW for the transformer, SGD at 100 times its learning rate for the CNN."""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamWSGD', lr=1e-4, adamw_weight_decay=0.01, momentum=0.9, sgd_weight_decay=1e-4),
    constructor='PatternConstructor',
    paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(opt='sgd', lr_mult=100)}),
    clip_grad=dict(max_norm=10.0, norm_type=2),
    accumulative_counts=2,
)
# Reaches the full learning rate at iteration 1,000; iterations are counted, not updates.
warmup = dict(type='LinearLR', start_factor=1 / 3, by_epoch=False, begin=0, end=1001)
