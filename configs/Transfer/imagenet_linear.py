"""Linear classification of ImageNet-1k on a frozen CNN, as published for VirTex: top-1 53.8 for bicaptioning, H2048.

    bash tools/dist_train.sh configs/Transfer/imagenet_linear.py 8 \
        --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT

256 images over all GPUs, 500,500 iterations (100 epochs), float32. Not run here.
Source: kdexd/virtex, configs/downstream/imagenet_clf.yaml and scripts/clf_linear.py.
"""

_base_ = ['../_base_/models/cnn_labels.py', '../_base_/datasets/imagenet.py', '../_base_/iteration_runtime.py']
env_cfg = dict(cudnn_benchmark=True)  # all images are of one size
model = dict(frozen_backbone=True)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.3, momentum=0.9, weight_decay=0.0))
param_scheduler = dict(type='WarmupDecayLR', decay='cosine', total=500500)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=500500, val_interval=5005)
default_hooks = dict(checkpoint=dict(interval=5005, save_best='accuracy_category', rule='greater'))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Transfer/imagenet_linear'
