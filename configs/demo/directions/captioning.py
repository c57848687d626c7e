"""``bicaptioning.py`` with captions in one direction.

python tools/train.py configs/demo/directions/captioning.py
"""

_base_ = './bicaptioning.py'
model = dict(language=dict(bidirectional=False))
