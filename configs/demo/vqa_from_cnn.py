"""Baseline of ``vqa_from_all.py``: the same fine-tuning, with the pretrained CNN and everything else new.

python tools/train.py configs/demo/vqa_from_cnn.py
"""

_base_ = './vqa_from_all.py'
load_parts = ['backbone']
work_dir = 'work_dirs/demo/vqa_from_cnn'
