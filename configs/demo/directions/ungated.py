"""``pretrain.py`` with the sum of word and feature in the place of the gate.

python tools/train.py configs/demo/directions/ungated.py
"""

_base_ = './pretrain.py'
model = dict(neck=dict(gated=False))
