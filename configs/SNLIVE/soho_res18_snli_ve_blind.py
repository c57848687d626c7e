"""The hypothesis-only baseline of SNLI-VE: the same model, trained without the image.

    bash tools/dist_train.sh configs/SNLIVE/soho_res18_snli_ve_blind.py 8

What the hypotheses alone give away; a score of a model with the image counts beside it.
"""

_base_ = './soho_res18_snli_ve.py'
model = dict(backbone=None, neck=None)
optim_wrapper = dict(
    constructor='DefaultOptimWrapperConstructor',
    paramwise_cfg=None,
    optimizer=dict(_delete_=True, type='AdamW', lr=5e-5, weight_decay=0.01),
)
sync_bn = False
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/SNLIVE/soho_res18_snli_ve_blind'
