"""VirTex's optimisation of a CNN with a classifier, without a language model; all weights decay."""

_base_ = './virtex.py'
optim_wrapper = dict(paramwise_cfg=dict(patterns=dict(_delete_=True, **{r'\Abackbone\.': dict(lr=0.2)})))
