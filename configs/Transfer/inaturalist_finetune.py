"""iNaturalist 2018, CNN and classifier fine-tuned end to end, as published for VirTex.

    bash tools/dist_train.sh configs/Transfer/inaturalist_finetune.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT

256 images over all GPUs, 171,000 iterations (100 epochs), float16. Not run here.
Source: kdexd/virtex, configs/downstream/inaturalist_clf.yaml and scripts/clf_linear.py.
"""

_base_ = ['../_base_/models/cnn_labels.py', '../_base_/datasets/inaturalist.py', '../_base_/iteration_runtime.py']
env_cfg = dict(cudnn_benchmark=True)  # all images are of one size
sync_bn = False  # as published: each GPU normalises over its own 32 images
model = dict(heads=dict(labels=dict(attributes=dict(category=8142))))
optim_wrapper = dict(
    type='AmpOptimWrapper', dtype='float16', optimizer=dict(type='SGD', lr=0.025, momentum=0.9, weight_decay=1e-4)
)
param_scheduler = dict(type='WarmupDecayLR', decay='multistep', milestones=[119700, 153900], gamma=0.1, total=171000)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=171000, val_interval=1710)
default_hooks = dict(checkpoint=dict(interval=1710, save_best='accuracy_category', rule='greater'))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Transfer/inaturalist_finetune'
