"""ResNet-50 with a linear classifier on the mean of its feature map, for transfer to new labels.

``model.backbone.init_cfg.checkpoint`` names the CNN: a checkpoint of this project, of the official VirTex or SOHO,
or of torchvision, whole or the CNN alone.
"""

model = dict(
    type='VirTex',  # without a language model: a CNN and heads on the image alone
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    backbone=dict(
        type='ResNet',
        depth=50,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='{{$IN_OUT_PATH:.}}/work_dirs/VirTex/bicaptioning_R_50_L1_H2048/iter_500000.pth',
        ),
    ),
    heads=dict(
        labels=dict(
            type='MultiAttributeHead',
            in_channels=2048,
            attributes=dict(category=1000),
            init_cfg=dict(type='Normal', layer='Linear', std=0.01),
        )
    ),
)
