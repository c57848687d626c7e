"""SOHO for a laptop: three stages of a ResNet-18 at stride 16, four layers of width 192."""
model = dict(
    type='SOHO',
    data_preprocessor=dict(type='ImageTextPreprocessor'),
    backbone=dict(type='ResNet', depth=18, num_stages=3, out_indices=(2, )),
    neck=dict(
        type='DictionaryNeck',
        in_channels=256,
        out_channels=192,
        pool=1,
        dictionary=dict(num_words=256, decay=0.9, unused_words='restart')),
    language=dict(
        type='CrossModalBert',
        vocab_size=512,
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=6,
        intermediate_size=768,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0),
    heads=dict(mlm=dict(type='MLMHead'), mvm=dict(type='MVMHead'), itm=dict(type='ITMHead', hidden_size=192)))
