"""VirTex whose captions are those of the official code, for its checkpoints and its published CIDEr."""
_base_ = './virtex.py'
model = dict(
    heads=dict(
        captioning=dict(
            decoder=dict(type='BeamSearch', beam_size=5, per_node=2, drop_start=True, forbid_repeats=True))))
