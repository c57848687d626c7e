"""SOHO on COCO retrieval at the paper's size, in the manner of Pixel-BERT: ResNet-101, 12 layers.

    bash tools/dist_train.sh configs/Retrieval/soho_res101_coco.py 8

Estimated cost: 0.27 EFLOP an epoch, about eight hours of one H100 for the run at 100 TFLOP/s; the test scores 125
million pairs at 26 GFLOP in float32, 3.3 EFLOP, 18 hours of one H100 at 50 TFLOP/s or a bit over two of eight. Not run.
The paper has this task; its published score is not at hand here.
"""

_base_ = [
    '../_base_/models/soho_retrieval_res101.py',
    '../_base_/datasets/coco_retrieval.py',
    '../_base_/schedules/retrieval.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='rsum', rule='greater'))
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Retrieval/soho_res101_coco'
