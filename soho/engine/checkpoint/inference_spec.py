"""What a checkpoint says besides its weights, so that the model can be used without any other file.

A checkpoint of a run holds the config (``meta.cfg``), the answer list (``meta.dataset_meta``) and the vocabulary
(``meta.vocabulary``); a file of safetensors holds the same as one JSON text in its header. All of it is data: a part is
named by one word under which it is registered, and what would read a file or import a module is left out.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.model import BaseModel
from mmengine.registry import DefaultScope, Registry
from torch import Tensor

from soho.engine.checkpoint.config_text import check_names, config_of
from soho.engine.checkpoint.load import load_weights
from soho.engine.checkpoint.read import HEADER_KEY, VALIDATED_ITER, CheckpointError, is_count
from soho.engine.checkpoint.safetensors_file import write_safetensors
from soho.engine.checkpoint.vocabulary import vocabulary_of
from soho.errors import clip, write_option
from soho.paths import CONFIGS, config_name
from soho.registry import MODELS

# Which part of a config says how a sample is made, the first that there is.
PIPELINE_SOURCES = ('test_dataloader', 'val_dataloader', 'train_dataloader')
# Arguments of parts that read a file, or ask the Hub for one: the weights are in the checkpoint.
READING = ('init_cfg', 'pretrained', 'checkpoint_path')
SCALAR_TYPES = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class InferenceSpec:
    """Model, preprocessing, answers and vocabulary of a checkpoint, as plain data."""

    model: dict[str, Any]
    """Config of the model."""
    pipeline: list[dict[str, Any]]
    """Configs of the transforms of a test sample."""
    dataset: str = ''
    """Type of the data set that the model was trained on, which says what it can be asked."""
    collate: dict[str, Any] = field(default_factory=dict)
    """Arguments of :func:`soho.datasets.collate.collate`."""
    class_names: list[str] = field(default_factory=list)
    """Answers in the order of the labels; empty for models that do not classify."""
    vocabulary: dict[str, str] = field(default_factory=dict)
    """``wordpiece``: the pieces, one a line; or ``sentencepiece``: the model in base64."""
    facts: dict[str, Any] = field(default_factory=dict)
    """For people: ``epoch``, ``iter``, ``seed``, ``experiment``, ``command``, ``data``, ``figures``."""

    def to_json(self) -> str:
        """The text that :meth:`from_json` reads."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, source: str) -> 'InferenceSpec':
        """The contents of a file's header.

        Raises:
            CheckpointError: They are not what :meth:`to_json` writes, or name a part by where it stands.
        """
        kinds = {'model': dict, 'pipeline': list, 'dataset': str, 'class_names': list}
        try:
            values = json.loads(text)
            if not isinstance(values, dict) or not {'model', 'pipeline'} <= values.keys():
                raise ValueError('it has no model or no pipeline')
            values = {entry.name: values[entry.name] for entry in fields(cls) if entry.name in values}
            for name, value in values.items():
                if not isinstance(value, kinds.get(name, dict)):
                    raise ValueError(f'{name} is a {type(value).__name__}')
            for name, wanted in (('pipeline', dict), ('class_names', str)):
                if odd := [item for item in values.get(name, ()) if not isinstance(item, wanted)]:
                    raise ValueError(f'{name} has the entry {odd[0]!r:.60}')
            check_names(values['model'], 'model')
            check_names(values['pipeline'], 'pipeline')
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f'the description in {source} cannot be used: {error}') from error
        return cls(**values)


def read_spec(checkpoint: Mapping[str, Any], source: str, config: Mapping[str, Any] | None = None) -> InferenceSpec:
    """What a checkpoint says about itself.

    Args:
        checkpoint: See :func:`soho.engine.checkpoint.read.read_checkpoint`.
        source: Its name, for messages.
        config: The config to take instead of its own, for one that has none.

    Raises:
        CheckpointError: It has no config and none is given; or its config is more than plain data.
    """
    if config is None and isinstance(header := checkpoint.get(HEADER_KEY), str):
        return InferenceSpec.from_json(header, source)
    own = config_of(dict(checkpoint), source) if config is None else _plain(config)
    model = own.get('model')
    if not isinstance(model, dict):
        raise CheckpointError(f'the config of {source} has no model')
    loader = next((own[name] for name in PIPELINE_SOURCES if isinstance(own.get(name), dict)), {})
    dataset = _first_dataset(loader.get('dataset'))
    collate = loader.get('collate_fn')
    meta = checkpoint.get('meta')
    meta = meta if isinstance(meta, dict) else {}
    names = (meta.get('dataset_meta') or {}).get('class_names') or []
    vocabulary = meta.get('vocabulary')
    return InferenceSpec(
        model=_without_files(model),
        pipeline=[dict(step) for step in dataset.get('pipeline', ()) if isinstance(step, dict)],
        dataset=str(dataset.get('type', '')),
        collate={name: value for name, value in collate.items() if name != 'type'} if isinstance(collate, dict) else {},
        class_names=[str(name) for name in names],
        vocabulary={str(kind): str(text) for kind, text in vocabulary.items()} if isinstance(vocabulary, dict) else {},
        facts=_facts(checkpoint, meta, own),
    )


def build_model(spec: InferenceSpec, state: Mapping[str, Any], source: str) -> BaseModel:
    """The model of a checkpoint with its weights, in eval mode on the CPU.

    Raises:
        CheckpointError: The model names a part that nobody has registered, cannot be built, or the weights do not
            fill it.
    """
    require_registered(spec.model, MODELS, f'the model of {source}')
    try:
        with DefaultScope.overwrite_default_scope('soho'):
            model = MODELS.build(_without_files(spec.model))
    except (TypeError, KeyError, AttributeError) as error:  # arguments that the part does not take
        raise CheckpointError(f'the model of {source} cannot be built: {clip(error)}') from error
    load_weights(model, dict(state), source, strict=True)
    return model.eval()


def require_registered(node: Any, registry: Registry, where: str) -> None:
    """Refuse a ``type`` that is not in the registry; mmengine would import a module of that name.

    Raises:
        CheckpointError: Where one is, and its name.
    """
    registry.import_from_location()
    known: set[str] = set()
    place: Registry | None = registry
    while place is not None:
        known |= place.module_dict.keys()
        place = place.parent
    _require_known(node, known, where)


def save_weights(path: str | os.PathLike, state: Mapping[str, Tensor], spec: InferenceSpec) -> None:
    """Write a file of safetensors that holds all that inference needs.

    Args:
        path: ``.safetensors``.
        state: The model's state dict.
        spec: Goes into the header.

    Raises:
        OSError: The file cannot be written.
    """
    write_safetensors(path, state, {HEADER_KEY: spec.to_json()})


def describe_run(dataset: Any, config_file: str | None) -> dict[str, Any]:
    """What a run adds to the ``meta`` of its checkpoints, so that they are all that inference needs.

    Args:
        dataset: That is trained on.
        config_file: Of the run.

    Returns:
        ``vocabulary``, see :mod:`soho.engine.checkpoint.vocabulary`; ``config_name``: what ``soho train`` takes for a
        config that ships with soho, and the bare name of another.
    """
    described: dict[str, Any] = dict(vocabulary=vocabulary_of(dataset))
    if config_file:
        file = Path(config_file).resolve()
        name = file.relative_to(CONFIGS) if file.is_relative_to(CONFIGS) else file.name
        described['config_name'] = config_name(name)
    return described


def _require_known(node: Any, known: set[str], where: str) -> None:
    if isinstance(node, Mapping):
        name = node.get('type')
        if 'type' in node and name not in known:
            raise CheckpointError(
                f'{clip(where)} is of the type {name!r:.60}, which nobody has registered: give the config that '
                f'imports it (custom_imports), {write_option("config", "mine.py")}'
            )
        for key, value in node.items():
            _require_known(value, known, f'{where}.{key}')
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            _require_known(value, known, f'{where}.{number}')


def _without_files(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _without_files(value) for key, value in node.items() if key not in READING}
    return [_without_files(value) for value in node] if isinstance(node, (list, tuple)) else node


def _plain(node: Any) -> Any:
    """A config of mmengine as dicts and lists."""
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(value) for value in node]
    return node if isinstance(node, SCALAR_TYPES) else str(node)


def _first_dataset(node: Any) -> dict[str, Any]:
    """The config of a data set; of a concatenation that of the first."""
    if not isinstance(node, dict):
        return {}
    parts = node.get('datasets')
    return _first_dataset(parts[0]) if isinstance(parts, (list, tuple)) and parts else node


def _facts(checkpoint: Mapping[str, Any], meta: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: meta[name] for name in ('epoch', 'iter', 'seed') if is_count(meta.get(name))}
    if isinstance(meta.get('experiment_name'), str):
        facts['experiment'] = meta['experiment_name']
    if isinstance(meta.get('config_name'), str):
        facts['command'] = f'soho train {meta["config_name"]}'
    train = config.get('train_dataloader')
    data = _training_files(train.get('dataset')) if isinstance(train, dict) else []
    if data:
        facts['data'] = data
    if figures := _figures(checkpoint.get('message_hub'), meta.get('iter')):
        facts['figures'] = figures
    return facts


def _training_files(node: Any) -> list[str]:
    """The annotation files that a model was trained on."""
    if not isinstance(node, dict):
        return []
    if isinstance(parts := node.get('datasets'), (list, tuple)):
        return [file for part in parts for file in _training_files(part)]
    file = node.get('ann_file') or node.get('images')
    return [os.path.join(str(node.get('data_root', '')), file)] if isinstance(file, str) else []


def _figures(hub: Any, iteration: Any) -> dict[str, float]:
    """All that the newest validation measured, if it was of these weights and not of earlier ones."""
    info = hub.get('runtime_info') if isinstance(hub, dict) else None
    if not isinstance(info, dict) or not is_count(iteration) or info.get(VALIDATED_ITER) != iteration:
        return {}
    scalars = hub.get('log_scalars')
    figures = {}
    for name, history in scalars.items() if isinstance(scalars, dict) else ():
        values = history.get('history') if isinstance(history, dict) else None
        timed = ('/time', '/data_time')
        if str(name).startswith('val/') and not name.endswith(timed) and isinstance(values, Tensor) and len(values):
            figures[name.removeprefix('val/')] = round(float(values[-1]), 4)
    return figures
