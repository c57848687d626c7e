"""SOHO on VQA v2 from a checkpoint of the corrected pretraining.

    bash tools/dist_train.sh configs/VQA/soho_res18_vqa_corrected.py 8

Differences from the published recipe: the mask of the valid area has the shape
of the canvas, text is cleaned as in BERT, and tests use batches of several
images.

Its computed cost is that of ``soho_res18_vqa.py``, nine hours of one H100 at 50
TFLOP/s of float32. Not run; no score of this size is published.
"""

_base_ = './soho_res18_vqa.py'
model = dict(neck=dict(square_mask=False))
datasets = _base_.train_dataloader.dataset.datasets
test_pipeline = _base_.test_dataloader.dataset.pipeline
for steps in [*(dataset.pipeline for dataset in datasets), test_pipeline]:
    for step in steps:
        if step.type == 'Tokenize':
            step.tokenizer.clean_text = True
train_dataloader = dict(dataset=dict(datasets=datasets))
test_dataloader = dict(batch_size=32, dataset=dict(pipeline=test_pipeline))
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VQA/soho_res18_vqa_corrected'
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre_corrected/epoch_40.pth'
