"""``vqa_all.py`` from the pretrained CNN alone, and everything else new.

python tools/train.py configs/demo/directions/vqa_cnn.py
"""

_base_ = './vqa_all.py'
load_parts = ['backbone']
