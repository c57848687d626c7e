"""VirTex on the synthetic data set: a CNN trained by captioning alone, in both directions.

    python tools/prepare/vocabulary.py data/synthetic/demo/annotations/captions_train2014.json \
        --size 400 --out data/synthetic/demo/captions.model
    python tools/train.py configs/demo/captioning.py
    python tools/test.py configs/demo/captioning.py work_dirs/demo/captioning/iter_5000.pth --out captions.json

25 minutes on two cores; CIDEr 1.03 on held-out images (resources/runs/virtex_world). Longer training overfits: 0.89
after 8,000 steps without dropout.
"""

_base_ = [
    '../_base_/models/virtex.py',
    '../_base_/datasets/synthetic_captions_virtex.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/iteration_runtime.py',
]
model = dict(
    backbone=dict(depth=18, num_stages=3, out_indices=(2,)),
    language=dict(
        visual_size=256,
        vocab_size=400,
        hidden_size=192,
        num_heads=4,
        dropout=0.1,
        max_length=32,
        initializer_range=0.07,
    ),
    # A wider beam prefers the shortest of the data set's phrasings.
    heads=dict(captioning=dict(decoder=dict(type='BeamSearch', beam_size=3))),
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=5000, val_interval=1000)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=5000, eta_min=1e-5, by_epoch=False)]
default_hooks = dict(checkpoint=dict(save_best='cider', rule='greater'))
work_dir = 'work_dirs/demo/captioning'
