"""``from_labels.py`` with the CNN as the labels left it, frozen here and in the fine-tuning after it.

python tools/train.py configs/demo/directions/frozen_cnn.py
"""

_base_ = './from_labels.py'
model = dict(backbone=dict(frozen_stages=2))
