"""Where a model comes from: a shipped name, a file, a folder, an address or the Hub."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from soho.apis.model_zoo import find_model
from soho.apis.sources import locate_checkpoint
from soho.datasets.answer_list import read_answer_lines, read_label2ans
from soho.datasets.storage.json_files import load_json
from soho.engine.checkpoint.inference_spec import InferenceSpec, read_spec
from soho.engine.checkpoint.read import HEADER_KEY, read_checkpoint, state_dict_of
from soho.engine.checkpoint.vocabulary import use_vocabulary
from soho.engine.config import load_config
from soho.errors import UserError


class OpenedModel(NamedTuple):
    """Contents of a checkpoint, before anything is built."""

    source: str
    """Its name, for messages."""
    state: dict[str, Any]
    """Names to tensors."""
    spec: InferenceSpec | None
    """``None``: it has no config, and none was given."""


def open_model(
    source: str | os.PathLike,
    config: str | None = None,
    class_names: str | os.PathLike | Sequence[str] | None = None,
    vocabulary: str | None = None,
    revision: str | None = None,
) -> OpenedModel:
    """Read a checkpoint and what it says about itself; no code in it is run.

    Args:
        source: Name of a shipped or published model, see :func:`soho.list_models`; a file of torch or safetensors; a
            folder of ``save_pretrained`` or a work dir; ``http(s)://``; or a Hub id, ``owner/name`` or
            ``hf://owner/name``; see :func:`soho.apis.sources.locate_checkpoint`.
        config: Path or name of the config, for a checkpoint that does not have its own.
        class_names: The answers in the order of the labels, for a checkpoint without: the texts, or a file that has
            them: ``*_data_vqa.json``, a list of json, or a text with one a line.
        vocabulary: ``vocab.txt``, a Hub name or a ``.model`` of SentencePiece, for a checkpoint without.
        revision: Of a Hub id: branch, tag or commit.

    Raises:
        CheckpointError: There is no such model, or it cannot be read.
        soho.engine.config_checks.ConfigError: There is no such config, or something is wrong with it.
    """
    name = os.fspath(source)
    path = locate_checkpoint(name, revision)
    entry = None if os.path.exists(os.path.expanduser(name)) else find_model(name)
    checkpoint = read_checkpoint(path)
    if config is None and entry is not None and HEADER_KEY not in checkpoint:
        config = entry.config
    spec = None
    if config is not None:
        spec = read_spec(checkpoint, name, load_config(config).to_dict())
        vocabulary = vocabulary or _config_vocabulary(spec)
    elif HEADER_KEY in checkpoint or isinstance((checkpoint.get('meta') or {}).get('cfg'), str):
        spec = read_spec(checkpoint, name)
    if spec is not None and class_names is not None:
        spec = replace(spec, class_names=read_class_names(class_names))
    if spec is not None and vocabulary is not None:
        spec = replace(spec, vocabulary={}, pipeline=use_vocabulary(spec.pipeline, vocabulary))
    return OpenedModel(name, state_dict_of(checkpoint), spec)


def read_class_names(source: str | os.PathLike | Sequence[str]) -> list[str]:
    """The answers in the order of the labels.

    Args:
        source: The texts; or a file: json with ``label2ans`` (as ``*_data_vqa.json``) or a list of texts, or a text
            with one answer a line.

    Raises:
        UserError: The file holds something else, or an answer is repeated.
    """
    if not isinstance(source, (str, os.PathLike)):
        return list(source)
    path = os.fspath(source)
    if not path.endswith('.json'):
        return read_answer_lines(path)
    found = load_json(path)
    if isinstance(found, Mapping):
        found = found.get('label2ans')
    if not isinstance(found, (list, Mapping)):
        raise UserError(f"{path} has no list of answers: neither is it one, nor has it a list 'label2ans'")
    return read_label2ans(found, path)


def _config_vocabulary(spec: InferenceSpec) -> str | None:
    """The vocabulary that the config of a person names; a checkpoint's own config is not asked for one."""
    return next(
        (str(step['tokenizer']['vocab']) for step in spec.pipeline if 'vocab' in (step.get('tokenizer') or {})), None
    )
