"""``pretrain.py`` with a dictionary of 1,024 words instead of 256.

python tools/train.py configs/demo/directions/words_1024.py
"""

_base_ = './pretrain.py'
model = dict(neck=dict(dictionary=dict(num_words=1024)))
