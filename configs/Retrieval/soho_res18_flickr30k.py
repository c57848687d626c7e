"""SOHO on Flickr30k retrieval, in the manner of Pixel-BERT: ResNet-18, 3 layers, from the pretrained checkpoint.

    python tools/prepare/retrieval.py flickr30k --root data/flickr30k
    bash tools/dist_train.sh configs/Retrieval/soho_res18_flickr30k.py 8
    bash tools/dist_test.sh configs/Retrieval/soho_res18_flickr30k.py CHECKPOINT 8

Each image with one of its captions and twenty of other images; the loss compares it with the hardest five. How the
paper trains this head, and at which rates, could not be found. 64 images a step on 8 GPUs. Estimated cost: 0.45 TFLOP
an image and training step, 13 PFLOP an epoch, about half an hour of one H100 for the run at 100 TFLOP/s; validation and
test score 5 million pairs at 5.1 GFLOP in float32, ten minutes of one H100 at 50 TFLOP/s. Not run. Chance: R@1 0.1
(image), 0.5 (text); the paper has no score for this size.
"""

_base_ = [
    '../_base_/models/soho_retrieval.py',
    '../_base_/datasets/flickr30k_retrieval.py',
    '../_base_/schedules/retrieval.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='rsum', rule='greater'))
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre_corrected/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Retrieval/soho_res18_flickr30k'
