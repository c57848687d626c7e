"""Statements about pairs of one's own pictures, from a CNN and a language model that were trained before.

    python tools/prepare/pretrained.py                            # 100 MB, once
    python tools/prepare/table.py pairs.csv --images PICTURES --out data/own
    python tools/train.py data/own/config.py                      # inherits from this file

That config names data and the more frequent label; for files in ``data/own`` without it:

    python tools/train.py configs/NLVR2/small_pretrained.py

The parts are those of ``VQA/small_pretrained.py``. In training a pair is also shown the other way round, with "left"
and "right" exchanged in its statement: leave ``SwapImages`` out where statements are in another language than English.
"""

_base_ = '../VQA/small_pretrained.py'
data_root = 'data/own'
tokenizer = dict(vocab=_base_.pretrained + '/minilm/vocab.txt', max_length=40)
load = [dict(type='LoadImage', reduce_to=(320, 240)), dict(type='ResizeKeepRatio', scale=(320, 240))]
pack = [dict(type='Tokenize', tokenizer=tokenizer), dict(type='PackSample', keys=['question_id', 'answer_labels'])]
train_pipeline = [*load, dict(type='SwapImages', prob=0.5), *pack]
test_pipeline = [*load, *pack]
model = dict(
    heads=dict(
        _delete_=True, nlvr2=dict(type='ClassificationHead', num_classes=2, loss='ce', num_images=2, dropout=0.3)
    )
)
source = dict(type='NLVR2Dataset', data_root=data_root, images='images')
train_dataloader = dict(
    dataset=dict(_delete_=True, **source, ann_file='statements_train.jsonl', pipeline=train_pipeline)
)
evaluation = dict(**source, sentence_group=2, test_mode=True, pipeline=test_pipeline)
val_dataloader = dict(dataset=dict(_delete_=True, **evaluation, ann_file='statements_val.jsonl'))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='StatementAccuracy')
test_evaluator = val_evaluator
custom_hooks = [dict(type='ChanceLossHook', head='nlvr2', after=400, window=200)]
