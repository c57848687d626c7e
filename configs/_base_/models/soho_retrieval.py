"""SOHO for image-text retrieval: the pretrained model, dictionary included, whose matching head goes on learning."""

_base_ = './soho_pretrain.py'
model = dict(heads=dict(_delete_=True, itm=dict(type='RetrievalHead')))
