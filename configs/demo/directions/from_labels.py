"""``pretrain.py`` from a CNN that was trained on labels instead of captions, which learns end to end.

python tools/train.py configs/demo/cnn_small_objects.py
python tools/train.py configs/demo/directions/from_labels.py
"""

_base_ = './pretrain.py'
checkpoint = 'work_dirs/demo/cnn_small_objects/epoch_5.pth'
model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='Pretrained', checkpoint=checkpoint)))
load_parts = ['language']
