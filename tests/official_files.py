"""Files in the layout and of the size of the official releases, with random weights: the real ones are downloads."""

import json
from pathlib import Path

import torch
from sentencepiece import sentencepiece_model_pb2 as proto

from soho.engine import load_config
from soho.engine.checkpoint.adapters.official import to_official
from soho.registry import MODELS

BERT_WORDS, CAPTION_PIECES, ANSWERS = 30522, 10000, 3129


def write_official_files(folder: Path, words: Path, pieces: Path) -> None:
    """Write what the how-tos of official checkpoints name.

    Args:
        folder: Where to.
        words: A ``vocab.txt``, which is filled up to the size of BERT's.
        pieces: A ``.model`` of SentencePiece, which is filled up to the size of VirTex's.
    """
    bert = folder / 'bert-base-uncased'
    bert.mkdir()
    known = words.read_text().splitlines()
    (bert / 'vocab.txt').write_text('\n'.join([*known, *(f'[unused{i}]' for i in range(BERT_WORDS - len(known)))]))
    (folder / 'trainval_label2ans.json').write_text(json.dumps([f'answer {i}' for i in range(ANSWERS)]))
    model = proto.ModelProto()
    model.ParseFromString(pieces.read_bytes())
    for i in range(CAPTION_PIECES - len(model.pieces)):
        model.pieces.add(piece=f'\u2581word{i}', score=-100.0)
    (folder / 'vocab_10k.model').write_bytes(model.SerializeToString())
    for name, config, wrap in (
        ('soho_res18_vqa', 'VQA/soho_res18_vqa', 'state_dict'),
        ('soho_res18_fp16_40-9441cdd3', 'Pretrain/soho_res18_pre', 'state_dict'),
        ('bicaptioning_R_50_L1_H512', 'VirTex/bicaptioning_R_50_L1_H512', 'model'),
    ):
        torch.save({wrap: make_state(config)}, folder / f'{name}.pth')


def make_state(config: str) -> dict[str, torch.Tensor]:
    """The random weights of a recipe in the official layout, in float16."""
    model = load_config(config).model
    model.language.pop('pretrained', None)
    state = to_official(MODELS.build(model).state_dict())
    return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
