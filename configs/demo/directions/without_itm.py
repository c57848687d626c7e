"""``pretrain.py`` without ITM; the captions that do not match are still read, and nothing is learnt from them.

python tools/train.py configs/demo/directions/without_itm.py
"""

_base_ = './pretrain.py'
model = dict(heads=dict(_delete_=True, mlm=dict(type='MLMHead'), mvm=dict(type='MVMHead')))
