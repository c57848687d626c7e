"""The hypothesis-only baseline of SNLI-VE at the paper's size: the same 12 layers, trained without the image.

    bash tools/dist_train.sh configs/SNLIVE/soho_res101_snli_ve_blind.py 8

What the hypotheses alone give away; a score of ``soho_res101_snli_ve.py`` counts beside it. Not run.
"""

_base_ = './soho_res18_snli_ve_blind.py'
model = dict(language=dict(num_hidden_layers=12))
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res101_pre/epoch_40.pth'
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/SNLIVE/soho_res101_snli_ve_blind'
