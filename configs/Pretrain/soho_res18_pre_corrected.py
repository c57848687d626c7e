"""SOHO pretraining without the known bugs of the release, for new training.

    bash tools/dist_train.sh configs/Pretrain/soho_res18_pre_corrected.py 8

Differences from the published recipe: the mask of the valid area has the shape
of the canvas, each image has a masked cell of its own, padding does not update
the dictionary, unused words are re-initialised instead of becoming zero, a
caption is replaced by any other image's caption, [UNK] is never a label, and
batch-norm statistics are updated once per step. Its checkpoints are for
``configs/VQA/soho_res18_vqa_corrected.py``.

Its computed cost is that of ``soho_res18_pre.py``, 31 hours of one H100 at 100 TFLOP/s. Not run; pretraining itself has
no published score.
"""

_base_ = './soho_res18_pre.py'
model = dict(
    backbone=dict(cp_updates_bn_twice=False),
    neck=dict(
        square_mask=False,
        shared_cell=False,
        count_padding=False,
        count_sentences=False,
        dictionary=dict(unused_words='restart'),
    ),
)
datasets = _base_.train_dataloader.dataset.datasets
for dataset in datasets:
    dataset.replace_by_first = False
    for step in dataset.pipeline:
        if step.type in ('Tokenize', 'MaskTokens'):
            step.tokenizer.clean_text = True
        if step.type == 'MaskTokens':
            step.mask_unknown = False
train_dataloader = dict(dataset=dict(datasets=datasets))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre_corrected'
