"""SOHO for pretraining: ResNet-18, 2,048 words, 3 layers, MLM + MVM + ITM, as published."""

model = dict(
    type='SOHO',
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    backbone=dict(
        type='ResNet', depth=18, frozen_stages=1, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18')
    ),
    neck=dict(type='DictionaryNeck', in_channels=512, dictionary=dict(num_words=2048, decay=0.4), gated=True),
    language=dict(type='CrossModalBert', pretrained='{{$SOHO_BERT:bert-base-uncased}}', num_hidden_layers=3),
    heads=dict(mlm=dict(type='MLMHead'), mvm=dict(type='MVMHead'), itm=dict(type='ITMHead')),
)
