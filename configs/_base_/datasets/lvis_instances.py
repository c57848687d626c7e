"""LVIS v1 on the images of COCO 2017; images with rare categories are repeated."""

_base_ = './coco_instances.py'
data_root = '{{$IN_OUT_PATH:.}}/data/coco'
train_dataloader = dict(
    sampler=dict(type='RepeatFactorSampler', threshold=0.001),
    dataset=dict(type='LVISDetection', ann_file='annotations/lvis_v1_train.json', images=''),
)
test_dataloader = dict(dataset=dict(type='LVISDetection', ann_file='annotations/lvis_v1_val.json', images=''))
test_evaluator = dict(type='LVISAP', annotation_file=data_root + '/annotations/lvis_v1_val.json')
