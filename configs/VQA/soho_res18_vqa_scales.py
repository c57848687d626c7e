"""Evaluation of SOHO on VQA v2 at three scales of each image, whose logits are averaged.

    python tools/test.py configs/VQA/soho_res18_vqa_scales.py CHECKPOINT --out answers.json

Of a checkpoint of ``soho_res18_vqa_corrected.py``; the cost is three times that of one image at 1333x800. Not run.
"""

_base_ = './soho_res18_vqa_corrected.py'
test_pipeline = _base_.test_dataloader.dataset.pipeline
test_pipeline[1] = dict(type='ResizeScales', scales=[(833, 500), (1000, 600), (1333, 800)])
test_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))
