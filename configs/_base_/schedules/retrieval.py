"""Fine-tuning for image-text retrieval: 10 epochs, the published optimizers at half of their rate, in bfloat16."""

_base_ = './adamw_sgd.py'
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', optimizer=dict(lr=5e-5), accumulative_counts=1)
param_scheduler = [{{_base_.warmup}}, dict(type='MultiStepLR', milestones=[6, 9], gamma=0.1)]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=10, val_interval=2)
