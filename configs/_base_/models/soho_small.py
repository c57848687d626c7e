"""SOHO for a laptop: two stages of a ResNet-18, pooled to stride 16, 256 words, three layers of width 128.

1.5 million parameters, trained from scratch. At width 128, BERT's initialisation with normal(0, 0.02) lets almost no
signal pass between tokens.
"""

model = dict(
    type='SOHO',
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    backbone=dict(type='ResNet', depth=18, num_stages=2, out_indices=(1,), zero_init_residual=True),
    neck=dict(
        type='DictionaryNeck',
        in_channels=128,
        pool=2,
        dictionary=dict(num_words=256, decay=0.9, unused_words='restart'),
    ),
    language=dict(
        type='CrossModalBert',
        vocab_size=512,
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=512,
        initializer_range=0.08,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ),
    heads=dict(mlm=dict(type='MLMHead'), mvm=dict(type='MVMHead'), itm=dict(type='ITMHead')),
)
