"""SOHO on GQA, trained on train alone, so that all official metrics of val are of questions that it has not seen.

    python tools/prepare/gqa.py --root data/gqa
    bash tools/dist_train.sh configs/GQA/soho_res18_gqa_train.py 8
    python tools/test.py configs/GQA/soho_res18_gqa_train.py CHECKPOINT

The best checkpoint is chosen on testdev; the test answers all 2,011,853 questions of val, and the metrics are of the
balanced ones among them, with ``val_all_questions.json`` and ``val_choices.json`` of the download. The paper does not
have this task. Cost, estimated as for ``soho_res18_gqa.py`` with 236,000 of its 270,000 images per epoch: under an hour
of one H100 for the run at 100 TFLOP/s. Not run.
"""

_base_ = './soho_res18_gqa.py'
data_root = '{{$IN_OUT_PATH:.}}/data/gqa'
train_dataloader = dict(dataset=dict(datasets=[{{_base_.train_part}}]))
test_dataloader = dict(dataset=dict(ann_file='val_all_data_gqa.json'))
test_evaluator = dict(
    questions=data_root + '/val_all_questions.json', choices=data_root + '/val_choices.json', details=True
)
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/GQA/soho_res18_gqa_train'
