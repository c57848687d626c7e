"""The transformer's first stage of the longer recipe: masked words of the captions alone, without images.

    python tools/train.py configs/demo/language.py

The published recipe starts from BERT, which knows the language; this is the same step at the demo's size. Words that
the image decides are masked most often, as in the stage after it.
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_captions.py',
    '../_base_/datasets/synthetic_words.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=None, neck=None, heads=dict(_delete_=True, mlm=dict(type='MLMHead')))
decided_by_image = [word for kind in _base_.words.values() for word in kind]
pipeline = [
    dict(type='Tokenize', tokenizer={{_base_.tokenizer}}),
    dict(
        type='MaskTokens', tokenizer={{_base_.tokenizer}}, prob=0.1, word_probs=[dict(words=decided_by_image, prob=0.4)]
    ),
    dict(type='PackSample', keys=['mlm_labels']),
]
datasets = _base_.train_dataloader.dataset.datasets
for dataset in datasets:
    dataset.images = None
    dataset.replace_prob = 0.0
    dataset.pipeline = pipeline
train_dataloader = dict(batch_size=16, dataset=dict(datasets=datasets))
val_dataloader = dict(dataset=dict(images=None, replace_prob=0.0, pipeline=pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3, val_interval=1)
param_scheduler = [{{_base_.warmup}}, dict(type='CosineAnnealingLR', T_max=3, eta_min=1e-5, convert_to_iter_based=True)]
work_dir = 'work_dirs/demo/language'
