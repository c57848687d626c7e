"""Captions of the best published model as the official code writes them.

    python tools/test.py configs/VirTex/bicaptioning_R_50_L1_H2048_official_decoding.py CHECKPOINT --out captions.json

The official beam search drops the start token after the first step, looks at two continuations of each text only, and
forbids a token twice in a row (kdexd/virtex, virtex/utils/beam_search.py). Its checkpoints give their recorded
captions so; for training of your own the other recipes have the usual search.
"""

_base_ = './bicaptioning_R_50_L1_H2048.py'
model = dict(
    heads=dict(
        captioning=dict(decoder=dict(type='BeamSearch', beam_size=5, per_node=2, drop_start=True, forbid_repeats=True))
    )
)
