"""The published models with random weights, and random batches for them."""
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import init_default_scope

from soho.benchmark.bench import Bench
from soho.engine import load_config
from soho.registry import MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
RECIPES = {'pretrain': 'Pretrain/soho_res18_pre_corrected.py', 'vqa': 'VQA/soho_res18_vqa_corrected.py'}
TEXT_LENGTH = {'pretrain': 20, 'vqa': 16}


def build(bench: Bench, kind: str) -> tuple[torch.nn.Module, Any]:
    """The published model with random weights, and its config."""
    cfg = load_config(str(CONFIGS / RECIPES[kind]))
    cfg.model.backbone.init_cfg = None
    cfg.model.language.pretrained = None
    init_default_scope(cfg.default_scope)
    return MODELS.build(cfg.model).to(bench.device), cfg


def random_batch(kind: str, images: int, sentences: int, size: tuple[int, int], vocab: int, answers: int = 0,
                 ) -> dict[str, torch.Tensor]:
    """A batch as the collate function makes it, see :mod:`soho.datasets.collate`; every cell and word counts."""
    generator = torch.Generator().manual_seed(0)

    def integers(high: int, *shape: int) -> torch.Tensor:
        return torch.randint(high, shape, generator=generator)

    length = TEXT_LENGTH[kind]
    ids = integers(vocab, images, sentences, length)
    batch = dict(
        image=integers(256, images, 3, *size).to(torch.uint8),
        image_size=torch.tensor([size] * images), pad_size=torch.tensor([size] * images),
        input_ids=ids, attention_mask=torch.ones_like(ids),
        sentence_mask=torch.ones(images, sentences, dtype=torch.bool))
    if kind == 'pretrain':
        hidden = torch.rand(ids.shape, generator=generator) < 0.15
        return dict(batch, mlm_labels=torch.where(hidden, ids, -100), itm_labels=integers(2, images, sentences),
                    mask_cell=torch.rand(images, generator=generator),
                    mask_rows=torch.rand(images, sentences, generator=generator) < 0.15)
    return dict(batch, question_id=integers(1000, images, sentences),
                answer_labels=integers(answers, images, sentences, 1),
                answer_scores=torch.ones(images, sentences, 1))
