"""``without_mvm.py`` without the dictionary; MVM needs one, so that the two differ in the neck alone.

python tools/train.py configs/demo/directions/plain_neck.py
"""

_base_ = './without_mvm.py'
model = dict(neck=dict(_delete_=True, type='PlainNeck', in_channels=128, pool=2))
