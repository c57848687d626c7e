"""``pretrain.py`` with a dictionary of 64 words instead of 256.

python tools/train.py configs/demo/directions/words_64.py
"""

_base_ = './pretrain.py'
model = dict(neck=dict(dictionary=dict(num_words=64)))
