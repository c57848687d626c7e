"""SOHO on VQA v2 from a checkpoint of the corrected pretraining: the mask follows the canvas, text is cleaned.

    bash tools/dist_train.sh configs/VQA/soho_res18_vqa_corrected.py 8
"""
_base_ = './soho_res18_vqa.py'
model = dict(neck=dict(square_mask=False))
tokenizer = dict(clean_text=True)
work_dir = '{{$IN_OUT_PATH:.}}/work_dirs/VQA/soho_res18_vqa_corrected'
load_from = '{{$IN_OUT_PATH:.}}/work_dirs/Pretrain/soho_res18_pre_corrected/epoch_40.pth'
