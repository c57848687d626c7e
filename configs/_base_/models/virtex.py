"""VirTex as published: ResNet-50 from scratch, captions in both directions, one layer of width 1024."""

model = dict(
    type='VirTex',
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    backbone=dict(type='ResNet', depth=50, zero_init_residual=True),
    language=dict(
        type='CaptionTransformer',
        visual_size=2048,
        vocab_size=10000,
        hidden_size=1024,
        num_layers=1,
        bidirectional=True,
    ),
    heads=dict(captioning=dict(type='CaptioningHead')),
)
