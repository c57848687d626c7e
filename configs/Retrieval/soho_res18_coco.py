"""SOHO on COCO retrieval, in the manner of Pixel-BERT: ResNet-18, 3 layers, 10 epochs from the pretrained checkpoint.

    python tools/prepare/retrieval.py coco --root data/coco
    bash tools/dist_train.sh configs/Retrieval/soho_res18_coco.py 8
    bash tools/dist_test.sh configs/Retrieval/soho_res18_coco.py CHECKPOINT 8

The loss is that of ``soho_res18_flickr30k.py``. Metrics of all 5,000 test images are the "5K" protocol, ``folds/`` the
"1K". Estimated cost: 51 PFLOP an epoch, about an hour and a half of one H100 for the run at 100 TFLOP/s; the test
scores 125 million pairs at 5.1 GFLOP in float32, 0.64 EFLOP, three and a half hours of one H100 at 50 TFLOP/s (encoding
the image again for each pair, as peers do, would take ten times that); a run that is stopped goes on. Not run; the
paper has no score for this size. The published pretraining has seen COCO's captions of these images; leave the test
images out with ``tools/prepare/pretrain.py --test-images``.
"""

_base_ = [
    '../_base_/models/soho_retrieval.py',
    '../_base_/datasets/coco_retrieval.py',
    '../_base_/schedules/retrieval.py',
    '../_base_/default_runtime.py',
]
default_hooks = dict(checkpoint=dict(save_best='rsum', rule='greater'))
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre_corrected/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/Retrieval/soho_res18_coco'
