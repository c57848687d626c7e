"""Captions of the best published model with the decoding of the official code.

    python tools/test.py configs/VirTex/bicaptioning_R_50_L1_H2048_official_decoding.py CHECKPOINT --out captions.json

The official beam search drops the start token after the first step, considers only two continuations per beam, and
forbids a token twice in a row (kdexd/virtex, virtex/utils/beam_search.py). Official checkpoints reproduce their
published captions with it; the other recipes use standard beam search.
"""

_base_ = './bicaptioning_R_50_L1_H2048.py'
model = dict(
    heads=dict(
        captioning=dict(decoder=dict(type='BeamSearch', beam_size=5, per_node=2, drop_start=True, forbid_repeats=True))
    )
)
