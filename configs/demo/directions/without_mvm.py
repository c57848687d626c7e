"""``pretrain.py`` without MVM: the dictionary is there, and no head predicts its words.

python tools/train.py configs/demo/directions/without_mvm.py
"""

_base_ = './pretrain.py'
model = dict(heads=dict(_delete_=True, mlm=dict(type='MLMHead'), itm=dict(type='ITMHead')))
