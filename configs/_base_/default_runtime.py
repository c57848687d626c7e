"""Runtime settings of all runs: logs, checkpoints, environment."""

default_scope = 'soho'
randomness = dict(seed=0, diff_rank_seed=True)  # dropout differs between ranks; data and first weights do not
sync_bn = True

default_hooks = dict(
    runtime_info=dict(type='RuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=3),
    finite_loss=dict(type='FiniteLossHook', interval=50),
    dictionary_usage=dict(type='DictionaryUsageHook'),
    rank_zero_buffers=dict(type='RankZeroBuffersHook'),
    release_memory=dict(type='ReleaseMemoryHook'),
)

env_cfg = dict(
    # Affects runs on the CPU only; matrix products are as exact, but rounded differently.
    onednn_products=True,
    keep_freed_memory=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
log_processor = dict(window_size=50)
log_level = 'INFO'
load_from = None
resume = False
