"""Baseline of ``vqa.py``: the same fine-tuning, with the pretrained CNN and everything else new.

python tools/train.py configs/demo/vqa_cnn.py
"""

_base_ = './vqa.py'
load_parts = ['backbone']
work_dir = 'work_dirs/demo/vqa_cnn'
