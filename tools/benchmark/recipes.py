"""Published models with random weights, and random batches for them."""

import os
from argparse import Namespace
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from soho.engine import load_config
from soho.engine.compile import compile_parts
from soho.paths import CONFIGS
from soho.registry import MODELS
from tools.benchmark.bench import Bench

SYNTHETIC = 'data/synthetic/demo'  # in the current folder, unless ``SOHO_SYNTHETIC`` is set
# Model and schedule of each recipe.
RECIPES = dict(
    pretrain=('soho_pretrain_official', 'adamw_sgd'),
    vqa=('soho_vqa_official', 'adamw_sgd'),
    virtex=('virtex', 'virtex'),
)
OFFICIAL_DECODER = dict(type='BeamSearch', beam_size=5, per_node=2, drop_start=True, forbid_repeats=True)
TEXT_LENGTH = 16  # of SOHO's published recipes
CROP = (224, 224)  # of VirTex's
SHORTEST, LONGEST = 10, 20  # captions of COCO, in tokens


def recipe(kind: str, options: dict[str, Any] | None = None) -> Config:
    """Return model and optimisation of a published recipe, without pretrained weights and with ``--cfg-options``."""
    model, schedule = RECIPES[kind]
    cfg = load_config(str(CONFIGS / '_base_' / 'models' / f'{model}.py'))
    cfg.merge_from_dict(load_config(str(CONFIGS / '_base_' / 'schedules' / f'{schedule}.py'))._cfg_dict)
    cfg.model.backbone.init_cfg = None
    if 'pretrained' in cfg.model.language:
        cfg.model.language.pretrained = None
    if kind == 'virtex':
        cfg.model.heads.captioning.decoder = OFFICIAL_DECODER
    cfg.merge_from_dict(options or {})
    return cfg


def pictures(args: Namespace) -> tuple[str, str, str]:
    """Return paths of pictures, of their pretraining annotation file, and of a vocabulary.

    Pictures and captions are those of ``--photos``, else of the synthetic data set.

    Raises:
        FileNotFoundError: There is no annotation file.
    """
    root = os.environ.get('SOHO_SYNTHETIC', SYNTHETIC)
    photos = args.photos or f'{root}/train2014'
    captions = f'{photos}.json' if args.photos else f'{root}/coco_cap_train_pre.json'
    if not os.path.isfile(captions):
        raise FileNotFoundError(
            f'there is no {captions}: generate the synthetic data set (make demo) and give its folder with --root, '
            'or give pictures that have captions beside them with --photos'
        )
    return photos, captions, os.environ.get('SOHO_BERT') or f'{root}/vocab.txt'


def precision(args: Namespace) -> dict[str, Any]:
    """Return the config of an optimizer wrapper for ``--dtype`` without gradient accumulation."""
    if args.dtype == 'float32':
        return dict(type='OptimWrapper', accumulative_counts=1)
    return dict(type='AmpOptimWrapper', dtype=args.dtype, accumulative_counts=1)


def build(bench: Bench, cfg: Config) -> nn.Module:
    """Return the model of a recipe with random weights on the device; with ``--compile`` it is compiled as in a run."""
    init_default_scope('soho')
    model = MODELS.build(cfg.model).to(bench.device)
    compile_parts(model, bench.args.compile)
    return model


def random_batch(kind: str, cfg: Config, images: int, sentences: int, size: tuple[int, int]) -> dict[str, Tensor]:
    """Return a random batch in the form of :mod:`soho.datasets.collate`, without padding."""
    generator = torch.Generator().manual_seed(0)

    def integers(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    size = CROP if kind == 'virtex' else size
    batch = dict(
        image=integers(0, 256, images, 3, *size).to(torch.uint8),
        image_size=torch.tensor([size] * images),
        pad_size=torch.tensor([size] * images),
    )
    if kind == 'virtex':
        lengths = torch.linspace(SHORTEST, LONGEST, images).long()
        return dict(batch, **random_captions(integers(3, cfg.model.language.vocab_size, images, LONGEST), lengths))
    ids = integers(1000, cfg.model.language.get('vocab_size', 30522), images, sentences, TEXT_LENGTH)
    batch.update(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        sentence_mask=torch.ones(images, sentences, dtype=torch.bool),
    )
    if kind == 'vqa':
        return dict(
            batch,
            question_id=integers(0, 1000, images, sentences),
            answer_labels=integers(0, cfg.model.heads.vqa.num_classes, images, sentences, 1),
            answer_scores=torch.ones(images, sentences, 1),
        )
    hidden = torch.rand(ids.shape, generator=generator) < 0.15
    rows = torch.zeros(images, sentences, dtype=torch.bool)
    rows[0, 0] = True  # 1.5 % in the recipe
    return dict(
        batch,
        mlm_labels=torch.where(hidden, ids, -100),
        itm_labels=integers(0, 2, images, sentences),
        mvm_cell=torch.rand(images, generator=generator),
        mvm_sentences=rows,
    )


def random_captions(tokens: Tensor, lengths: Tensor) -> dict[str, Tensor]:
    """Return random tokens (B, L) as captions in both directions, with [SOS] 1, [EOS] 2 and padding 0."""
    positions = torch.arange(tokens.size(1))
    last = lengths[:, None] - 1
    tokens = tokens.masked_fill(positions > last, 0).masked_fill(positions == last, 2)
    tokens[:, 0] = 1
    reversed_tokens = tokens.gather(1, (last - positions).clamp(min=0)).masked_fill(positions > last, 0)
    return dict(
        image_id=torch.arange(len(tokens)),
        caption_tokens=tokens,
        noitpac_tokens=reversed_tokens,
        caption_lengths=lengths,
    )
