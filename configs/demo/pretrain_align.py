"""The longer recipe's second stage: MLM + MVM + ITM, from a transformer that knows the language and a CNN that sees.

    python tools/train.py configs/demo/cnn.py
    python tools/train.py configs/demo/language.py
    python tools/train.py configs/demo/pretrain_align.py

The CNN hardly moves while the transformer learns to look at it; the rate stays constant, since ``pretrain_long.py``
goes on from here. What differs from the published pretraining, so that the image is worth looking at: words that the
image decides are hidden most often (40 % against 10 % of the others) and predicted in captions of the image alone; half
of the captions do not match, a third of those by one word; a quarter of the captions stays whole, as matching reads
them later.
"""

_base_ = [
    '../_base_/models/soho_small.py',
    '../_base_/datasets/synthetic_captions.py',
    '../_base_/datasets/synthetic_words.py',
    '../_base_/schedules/adamw_cosine.py',
    '../_base_/default_runtime.py',
]
model = dict(
    backbone=dict(frozen_stages=1, init_cfg=dict(type='Pretrained', checkpoint='work_dirs/demo/cnn/epoch_5.pth')),
    language=dict(pretrained='work_dirs/demo/language/epoch_3.pth'),
)
optim_wrapper = dict(
    constructor='PatternConstructor', paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(lr_mult=0.1)})
)
decided_by_image = [word for kind in _base_.words.values() for word in kind]
load, resize, tokenize, mask, draw_visual_mask, pack = _base_.pipeline
draw_visual_mask.prob = 0.02
pipeline = [
    load,
    resize,
    tokenize,
    dict(type='ReplaceWord', tokenizer=_base_.tokenizer, kinds=_base_.meanings, prob=0.25, unless=_base_.undecided),
    dict(
        type='MaskTokens',
        tokenizer=_base_.tokenizer,
        prob=0.1,
        word_probs=[dict(words=decided_by_image, prob=0.4)],
        sentence_prob=0.75,
        matched_only=True,
    ),
    draw_visual_mask,
    pack,
]
datasets = _base_.train_dataloader.dataset.datasets
for dataset in datasets:
    dataset.replace_prob = 0.35
    dataset.pipeline = pipeline
train_dataloader = dict(dataset=dict(datasets=datasets))
mask.matched_only = True
val_dataloader = dict(dataset=dict(pipeline=[load, resize, tokenize, mask, draw_visual_mask, pack]))
test_dataloader = val_dataloader
kinds = dict(noun=_base_.words['noun'], color=_base_.words['color'], number=_base_.words['number'])
val_evaluator = [dict(type='PretrainMetrics'), dict(type='MaskedWordAccuracy', tokenizer=_base_.tokenizer, kinds=kinds)]
test_evaluator = val_evaluator
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=4, val_interval=1)
param_scheduler = [{{_base_.warmup}}]
work_dir = 'work_dirs/demo/pretrain_align'
