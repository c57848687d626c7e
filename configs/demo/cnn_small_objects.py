"""``cnn.py`` with objects of the sizes that they have in the scenes: where a frozen CNN is all that sees.

    python tools/prepare/object_crops.py --root data/synthetic/demo
    python tools/train.py configs/demo/cnn_small_objects.py

``configs/demo/directions/frozen_cnn.py`` keeps it as it is, and ``from_labels.py`` trains it end to end.
"""

_base_ = './cnn.py'
load, resize, flip, pack = _base_.pipeline
sizes = dict(type='RandomResizeShortEdge', short_edges=(16, 20, 24, 28, 32), long_edge=32)
train_dataloader = dict(dataset=dict(pipeline=[load, sizes, flip, pack]))
resize.scale = (24, 24)
val_dataloader = dict(dataset=dict(pipeline=[load, resize, pack]))
test_dataloader = val_dataloader
work_dir = 'work_dirs/demo/cnn_small_objects'
