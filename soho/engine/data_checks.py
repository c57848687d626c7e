"""Whether a run's data are for its model, said before anything else is built or written."""

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from torch import nn
from torch.utils.data import Dataset

from soho.datasets.batch import check_sample
from soho.engine.checkpoint.read import MissingCheckpointError
from soho.errors import UserError
from soho.models.widths import fill_widths, get_argument
from soho.registry import DATASETS, MODELS

PREPARED_PARTS = ('efficientnet_lite0.safetensors', 'minilm')
"""Names of what ``tools/prepare/pretrained.py`` writes."""


def open_datasets(cfg: Config, splits: Sequence[str]) -> dict[str, Dataset]:
    """Build the data sets of a run and check them against its model, of which only the heads are built.

    Args:
        cfg: The run's config.
        splits: Of ``'train'``, ``'val'`` and ``'test'``; those without a dataloader are passed over.

    Returns:
        The data sets by split.

    Raises:
        UserError: Files are missing or broken, the parts of the model differ in width, a vocabulary has more entries
            than the model has embeddings, or a head cannot read the data.
    """
    model = cfg.get('model') or {}
    if isinstance(cfg.get('load_from'), str) and '://' not in cfg.load_from:
        _check_checkpoint(cfg.load_from, 'load_from')
    language = model.get('language')
    heads = _build_heads(model)
    if 'train' in splits:
        check_weight_files(model)
    vocabulary = get_argument(language, 'vocab_size') if isinstance(language, dict) else None
    datasets = {}
    for split in splits:
        dataset = build_split(cfg, split)
        if dataset is None:
            continue
        source = f'{split}_dataloader of the config'
        for part in getattr(dataset, 'datasets', [dataset]):
            tokenizer = getattr(part, 'tokenizer', None)
            if vocabulary is not None and tokenizer is not None and len(tokenizer) > vocabulary:
                raise UserError(
                    f'the vocabulary of {source} has {len(tokenizer)} entries, more than the {vocabulary} that '
                    'model.language.vocab_size provides for'
                )
        check_heads(heads, dataset, 'loss' if split == 'train' else 'predict', source)
        datasets[split] = dataset
    return datasets


def build_split(cfg: Config, split: str) -> Any:
    """Return the data set of ``train_dataloader``, ``val_dataloader`` or ``test_dataloader``; ``None`` without one."""
    config = (cfg.get(f'{split}_dataloader') or {}).get('dataset')
    if not isinstance(config, dict):
        return None
    return DATASETS.build(ConfigDict(copy.deepcopy(config), _scope_=cfg.get('default_scope', 'soho')))


def check_weight_files(part: Any) -> None:
    """Check that the files are there from which the parts of a model start.

    Args:
        part: The model's config, or what is in it.

    Raises:
        UserError: One is missing, or a name on the Hub cannot be had.
    """
    if isinstance(part, (list, tuple)):
        for item in part:
            check_weight_files(item)
    if not isinstance(part, dict):
        return
    if part.get('type') == 'Pretrained' and '://' not in part.get('checkpoint', '://'):
        _check_checkpoint(part['checkpoint'], 'init_cfg of the model')
    if part.get('type') == 'CrossModalBert' and part.get('pretrained'):
        from soho.models.language.cross_modal_bert import find_weights  # transformers takes seconds to import

        try:
            find_weights(part['pretrained'])
        except UserError as error:
            raise UserError(f'{error}{_how_to_fetch(part["pretrained"])}') from error
    for item in part.values():
        check_weight_files(item)


def _check_checkpoint(path: str, who: str) -> None:
    if not os.path.isfile(os.path.expanduser(path)):
        raise MissingCheckpointError(f'there is no checkpoint {path}, which {who} names{_how_to_fetch(path)}')


def _how_to_fetch(path: str) -> str:
    """What makes one of the pretrained parts that configs begin with; of any other file nothing is known."""
    if os.path.basename(path) not in PREPARED_PARTS:
        return ''
    folder = os.path.dirname(path)
    return (
        f': `soho prepare pretrained --out {folder}` fetches it' if folder else ': `soho prepare pretrained` fetches it'
    )


def _build_heads(model: dict[str, Any]) -> dict[str, Any]:
    """The heads of a model that is not built yet, without memory for their weights."""
    heads, language = model.get('heads'), model.get('language')
    if not isinstance(heads, dict):
        return {}
    if isinstance(language, dict):
        _, heads = fill_widths(language, model.get('neck'), heads)
    built = {}
    for name, config in heads.items():
        try:
            with torch.device('meta'):
                built[name] = MODELS.build(copy.deepcopy(config))
        except UserError:
            raise
        except Exception:  # it needs real memory, or fails: whichever it is shows when the model is built
            continue
        built[name].name = name
    return built


def check_data(model: nn.Module, dataset: Dataset, mode: str, source: str) -> None:
    """Let every head of a model check the data that it will read; see :func:`check_heads`."""
    parts = getattr(model, 'heads', None)
    check_heads(dict(parts.items()) if isinstance(parts, nn.ModuleDict) else {}, dataset, mode, source)


def check_heads(heads: Mapping[str, Any], dataset: Dataset, mode: str, source: str) -> None:
    """Let every head check the data that it will read.

    Args:
        heads: By name.
        dataset: Its first sample is read.
        mode: ``'loss'`` for training data, else ``'predict'``.
        source: What the data are, for messages, such as ``'train_dataloader of the config'``.

    Raises:
        UserError: The data are for another head: other classes, another number of images a sample, or a
            field missing that the head reads.
    """
    heads = {name: head for name, head in heads.items() if hasattr(head, 'required_fields')}
    metainfo: dict[str, Any] = getattr(dataset, 'metainfo', {})
    for head in heads.values():
        head.check(metainfo, source)
    images = getattr(dataset, 'num_images', None)
    sample = None
    for name, head in heads.items():
        reader = f'the head {name!r} ({type(head).__name__})'
        if images is not None and images != head.num_images:
            raise UserError(
                f'{source} has {images} image{"s" if images > 1 else ""} a sample, but {reader} reads '
                f'{head.num_images}: choose a head or a data set for it'
            )
        if sample is None:
            sample = dataset[0]
        if isinstance(sample, dict):
            check_sample(sample, head.required_fields(mode), source, reader)


def check_steps(loop: Any, source: str, rank: int) -> None:
    """Check that a loop has something to do.

    Args:
        loop: With its dataloader.
        source: Of its data, for messages.
        rank: Of this process. In evaluation the first ranks have the samples where there are few.

    Raises:
        UserError: It would take no step.
    """
    loader = loop.dataloader
    training = hasattr(loop, 'max_iters')
    if (training or rank == 0) and not len(loader):
        batch = getattr(loader.batch_sampler, 'batch_size', None) or loader.batch_size
        raise UserError(
            f'{source} gives no batch: its {len(loader.dataset)} samples do not fill one of {batch} on each rank, and '
            'drop_last leaves out what is not full: take smaller batches, or drop_last=False'
        )
    if training and loop.max_iters < 1:
        raise UserError(f'train_cfg of the config trains for {loop.max_iters} iterations; a run takes at least one')
