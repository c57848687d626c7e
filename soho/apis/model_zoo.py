"""The models that ship with soho and those that were published, read from the ``metafile.yml`` beside the configs.

Nothing here imports torch, so that ``soho models`` answers at once.
"""

import fnmatch
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from msgspec import Struct, field

from soho.datasets.storage.json_records import to_record
from soho.errors import UserError, clip
from soho.files import read_text
from soho.paths import CONFIGS, RESOURCES

METAFILE = 'metafile.yml'


class ModelEntry(NamedTuple):
    """One model of a ``metafile.yml``, in OpenMMLab's layout."""

    name: str
    collection: str
    """The method, ``SOHO`` or ``VirTex``."""
    config: str
    """Name of its config, such as ``VQA/soho_res18_vqa``."""
    weights: str | None
    """Path below ``resources/`` of a shipped model, an address, or ``None`` where nobody has published any."""
    sha256: str | None
    metadata: dict[str, Any]
    """What a table says: ``Training Data``, ``Note``."""
    results: tuple[tuple[str, str, str, float], ...]
    """Task, data set, metric and its published or measured value."""

    @property
    def shipped(self) -> bool:
        """Whether the weights come with soho."""
        return self.weights is not None and '://' not in self.weights

    @property
    def path(self) -> str:
        """The file of a shipped model, or the address of another.

        Raises:
            UserError: Nobody has published the weights.
        """
        if self.weights is None:
            raise UserError(
                f'the weights of {self.name} cannot be downloaded{"; " + self.note if self.note else ""}: give the file'
            )
        return os.fspath(RESOURCES / self.weights) if self.shipped else self.weights

    @property
    def note(self) -> str:
        """One sentence about the model, such as where its weights come from."""
        return str(self.metadata.get('Note', ''))


@cache
def read_zoo() -> dict[str, ModelEntry]:
    """All models by name, in the order of the configs' folders."""
    entries = [entry for file in sorted(CONFIGS.rglob(METAFILE)) for entry in read_metafile(file)]
    return {entry.name: entry for entry in entries}


def list_models(pattern: str = '*') -> list[str]:
    """Names that ``soho.load`` takes: the models that ship with soho, then those that it can download.

    Args:
        pattern: Such as ``'vqa*'``; ``*`` and ``?`` stand for any letters.
    """
    found = [entry for entry in read_zoo().values() if entry.weights and fnmatch.fnmatch(entry.name, pattern)]
    return [entry.name for entry in sorted(found, key=_usability)]


def sample_image() -> str:
    """Path of the picture that ships with soho, for a first try: a blue circle and a ring on grass."""
    return os.fspath(RESOURCES / 'models' / 'sample.jpg')


def find_model(name: str) -> ModelEntry | None:
    """The model of this name; ``None`` if there is none."""
    return read_zoo().get(name)


def describe_zoo() -> str:
    """``docs/model_zoo.md``, in Markdown."""
    entries = list(read_zoo().values())
    shipped = [entry for entry in entries if entry.shipped]
    lines = [
        '# Models',
        '',
        '<!-- made from the metafile.yml files of configs/ by `soho models --markdown` -->',
        '',
        '`soho models` lists these; `soho.load(NAME)` loads one that ships with soho or can be downloaded.',
        '',
        '## Shipped with soho',
        '',
        'They are small, work offline and are used by the examples of this documentation: the file contains config, '
        'answers, vocabulary and preprocessing. How each was trained is recorded in its folder of `resources/models/`.',
        '',
        *_table(shipped, ('model', 'config', 'results', 'size'), _shipped_row),
        '',
        '## Published',
        '',
        'Scores are those of the papers. Official checkpoints load unchanged: `soho.load(NAME)` downloads those with a '
        'link; for any other, pass the file and its config:',
        '',
        '```python',
        "soho.VQA('soho_res18_vqa.pth', config='VQA/soho_res18_vqa', class_names='data/coco/val_data_vqa.json')",
        "soho.Captioner('bicaptioning_R_50_L1_H2048', vocabulary='vocab_10k.model')",
        '```',
    ]
    for collection in dict.fromkeys(entry.collection for entry in entries if not entry.shipped):
        rows = [entry for entry in entries if entry.collection == collection and not entry.shipped]
        lines += ['', f'### {collection}', '', *_table(rows, ('model', 'config', 'results', 'weights'), _published_row)]
    return '\n'.join(lines) + '\n'


def format_results(entry: ModelEntry) -> str:
    """``VQA v2 test-dev: accuracy 73.25``."""
    return '; '.join(f'{data}: {metric} {value:g}' for _, data, metric, value in entry.results)


class _Result(Struct):
    """A result of a model in a ``metafile.yml``."""

    Task: str
    Dataset: str
    Metrics: dict[str, float]


class _Model(Struct):
    """A model in a ``metafile.yml``."""

    Name: str
    Config: str
    collection: str = field(name='In Collection')
    Weights: str | None = None
    SHA256: str | None = None
    Metadata: dict[str, Any] | None = None
    Results: list[_Result] | None = None


class _Metafile(Struct):
    """A ``metafile.yml``, of which this is read."""

    Models: list[_Model]


def read_metafile(file: Path) -> list[ModelEntry]:
    """The models of a ``metafile.yml``.

    Raises:
        UserError: The file is no YAML, lacks a key or has a value of another type.
    """
    try:
        values = yaml.safe_load(read_text(file))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f'{file} is no YAML: {clip(error)}') from error
    return [
        ModelEntry(
            name=model.Name,
            collection=model.collection,
            config=model.Config.removeprefix('configs/').removesuffix('.py'),
            weights=model.Weights,
            sha256=model.SHA256,
            metadata=model.Metadata or {},
            results=tuple(
                (result.Task, result.Dataset, metric, value)
                for result in model.Results or ()
                for metric, value in result.Metrics.items()
            ),
        )
        for model in to_record(values, _Metafile, str(file)).Models
    ]


def _table(entries: list[ModelEntry], head: tuple[str, ...], row: Any) -> list[str]:
    return [_line(head), _line(['---'] * len(head)), *(_line(row(entry)) for entry in entries)]


def _line(cells: Any) -> str:
    return f'| {" | ".join(cells)} |'


def _shipped_row(entry: ModelEntry) -> list[str]:
    size = os.path.getsize(entry.path) / 1e6
    return [f'`{entry.name}`', _config_link(entry), format_results(entry), f'{size:.1f} MB']


def _published_row(entry: ModelEntry) -> list[str]:
    weights = f'[download]({entry.weights})' if entry.weights else entry.note
    return [f'`{entry.name}`', _config_link(entry), format_results(entry), weights]


def _config_link(entry: ModelEntry) -> str:
    return f'[{entry.config}](../configs/{entry.config}.py)'


def describe_entries(entries: Mapping[str, ModelEntry]) -> dict[str, str]:
    """A line about each model, for the screen: those that ship, those that can be downloaded, the others."""
    place = {True: 'shipped', False: 'download'}
    usable_first = sorted(entries.items(), key=lambda item: _usability(item[1]))
    return {
        name: f'{place[entry.shipped] if entry.weights else "no address":10}  {format_results(entry)}'
        for name, entry in usable_first
    }


def _usability(entry: ModelEntry) -> int:
    """0 for a model that ships, 1 for one that can be downloaded, 2 for one of which a person has the file."""
    return 0 if entry.shipped else 1 if entry.weights else 2
