"""SOHO on Flickr30k retrieval at the paper's size, in the manner of Pixel-BERT: ResNet-101, 12 layers.

    bash tools/dist_train.sh configs/Retrieval/soho_res101_flickr30k.py 8

Published (SOHO, CVPR 2021; not reproduced here): R@1 72.5 (image), 86.5 (text). Estimated cost: 2.4 TFLOP an image and
training step, 70 PFLOP an epoch, about two hours of one H100 for the run at 100 TFLOP/s; the test 0.13 EFLOP in
float32, 45 minutes of one H100 at 50 TFLOP/s. Not run.
"""

_base_ = [
    '../_base_/models/soho_retrieval_res101.py',
    '../_base_/datasets/flickr30k_retrieval.py',
    '../_base_/schedules/retrieval.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='rsum', rule='greater'))
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Retrieval/soho_res101_flickr30k'
