"""SOHO for a laptop: three stages of a ResNet-18 (stride 16), 256 words, three layers of width 128.

3.4 million parameters. Eager attention: on a CPU, torch 2.15's fused attention
takes five times as long in backward at this size.
"""
model = dict(
    type='SOHO',
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    backbone=dict(type='ResNet', depth=18, num_stages=3, out_indices=(2, )),
    neck=dict(
        type='DictionaryNeck',
        in_channels=256,
        out_channels=128,
        pool=1,
        dictionary=dict(num_words=256, decay=0.9, unused_words='restart')),
    language=dict(
        type='CrossModalBert',
        vocab_size=512,
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        attention='eager'),
    heads=dict(mlm=dict(type='MLMHead'), mvm=dict(type='MVMHead'), itm=dict(type='ITMHead', hidden_size=128)))
