"""Contract between data and models: every field of a batch, its shape, dtype, padding and targets.

The table below is the only definition. ``PackSample`` packs by it, collate pads by it, heads declare which of its
fields they read (``Head.required_fields``), the preprocessor finds target positions by it, a run whose pipeline does
not provide what a head reads is refused before its first step, and ``docs/batch.md`` is generated from it. Fields
that are not in it are stacked without padding.

``B`` samples, ``M`` images per sample (1 unless a task compares images), ``S`` sentences per sample, ``L`` text
tokens, ``K`` labels or objects, ``E`` edges of an outline. ``B*M`` is sample-major: the images of a sample follow
each other.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from soho.errors import UserError

Batch = dict[str, Tensor]


class Field(NamedTuple):
    """One field of a batch."""

    shape: tuple[str | int, ...]
    """Names of the dimensions; the first is ``B`` or, for fields of images, ``B*M``."""
    dtype: str
    meaning: str
    padding: float | None = None
    """Padding value where samples differ in size; ``None``: all must have the same size."""
    is_target: Callable[[Tensor], Tensor] | None = None
    """Function from the whole array to a bool array, true at entries that a loss is computed on."""
    model_input: bool = False
    """Whether the model itself reads the field, independent of its heads; packed if a sample has it."""

    per_caption: bool = False
    """One entry a caption: with S > 1 captions an image a dimension S stands behind B."""

    @property
    def shape_text(self) -> str:
        """The shape as a tuple is written: ``(B, S)``, ``(B,)``."""
        return f'({", ".join(map(str, self.shape))}{"," if len(self.shape) == 1 else ""})'

    @property
    def per_image(self) -> bool:
        """Whether the field has one entry per image, not per sample."""
        return self.shape[0] == 'B*M'


def _after_start(tokens: Tensor) -> Tensor:
    """Targets among caption tokens (..., L): (..., L - 1) bool, since [SOS] is never predicted."""
    return tokens[..., 1:] != 0


FIELDS: dict[str, Field] = {
    # Images
    'image': Field(
        ('B*M', 3, 'H', 'W'),
        'uint8',
        'RGB at the top left of the canvas, zeros elsewhere; in channels-last memory format',
        model_input=True,
    ),
    'image_size': Field(
        ('B*M', 2), 'int64', 'height and width of the image on its canvas, in pixels', model_input=True
    ),
    'pad_size': Field(('B*M', 2), 'int64', '``image_size`` rounded up to a multiple of ``size_divisor``'),
    'image_id': Field(('B',), 'int64', "the image's id, or where not all ids are numbers its place"),
    'image_index': Field(
        ('B',), 'int64', "the image's place in its data set or in the concatenation, the row of a matrix of scores"
    ),
    # Sentences of SOHO
    'input_ids': Field(
        ('B', 'S', 'L'), 'int64', 'WordPiece tokens, [CLS] ... [SEP], padded on the right', model_input=True
    ),
    'attention_mask': Field(('B', 'S', 'L'), 'int64', '1 at tokens, 0 at padding', model_input=True),
    'sentence_mask': Field(
        ('B', 'S'), 'bool', 'rows that hold a sentence; the others are padding and ignored', model_input=True
    ),
    # Pretraining
    'mlm_labels': Field(
        ('B', 'S', 'L'), 'int64', 'the masked token at a position, -100 elsewhere', is_target=lambda labels: labels >= 0
    ),
    'itm_labels': Field(('B', 'S'), 'int64', '1: the sentence belongs to the image; 0: to another one'),
    'mvm_cell': Field(
        ('B*M',), 'float32', 'the cell whose dictionary word is masked, as a fraction of the valid cells'
    ),
    'mvm_sentences': Field(
        ('B', 'S'), 'bool', 'the sentences for which that word is masked', is_target=lambda masked: masked
    ),
    # Classification of a sentence and its images
    'question_id': Field(
        ('B', 'S'), 'int64', "the question's id, or its place where not all ids are numbers; -1 in empty rows"
    ),
    'answer_labels': Field(('B', 'S', 'K'), 'int64', 'correct classes, padded with -1', padding=-1),
    'answer_scores': Field(('B', 'S', 'K'), 'float32', 'soft score of each of ``answer_labels``, in [0, 1]', padding=0),
    # Captions of VirTex
    'caption_tokens': Field(
        ('B', 'L'), 'int64', '[SOS] ... [EOS], padded with 0', padding=0, is_target=_after_start, per_caption=True
    ),
    'noitpac_tokens': Field(
        ('B', 'L'),
        'int64',
        'the caption reversed, [EOS] ... [SOS], padded with 0',
        padding=0,
        is_target=_after_start,
        per_caption=True,
    ),
    'caption_lengths': Field(('B',), 'int64', 'tokens of the caption, with the special ones', per_caption=True),
    'masked_labels': Field(
        ('B', 'L'),
        'int64',
        'the masked caption token at a position, 0 elsewhere',
        padding=0,
        is_target=lambda labels: labels != 0,
    ),
    # Classification of an image
    'attribute_labels': Field(('B', 'K'), 'int64', 'label of each attribute (or the only class), -1 where not known'),
    'label_set': Field(
        ('B', 'K'), 'int64', 'all labels of the image (tokens, object categories), padded with 0', padding=0
    ),
    # Detection
    'full_size': Field(('B', 2), 'int64', 'height and width of the image as annotated'),
    'boxes': Field(('B', 'K', 4), 'float32', 'x0, y0, x1, y1 in pixels of ``image``', padding=0),
    'box_labels': Field(('B', 'K'), 'int64', 'class of each box from 1, 0 for padding', padding=0),
    'mask_edges': Field(('B', 'K', 'E', 4), 'float32', 'x0, y0, x1, y1 of every edge of an outline', padding=0),
}

MODEL_INPUTS = tuple(name for name, field in FIELDS.items() if field.model_input)
TOKEN_FIELDS = tuple(name for name, field in FIELDS.items() if field.shape == ('B', 'S', 'L'))
"""Fields over the L tokens of SOHO's sentences, which are trimmed together."""


def check_sample(sample: Mapping[str, Any], required: Iterable[str], source: str, reader: str) -> None:
    """Check that a sample has the fields that a part of the model reads, in the form of the table.

    Args:
        sample: An item of a dataset.
        required: Names of the fields.
        source: Origin of the sample, for error messages, such as ``'train_dataloader of the config'``.
        reader: Part that reads the fields, such as ``"the head 'vqa' (ClassificationHead)"``.

    Raises:
        UserError: A field is missing, or differs in kind of dtype or in number of dimensions.
    """
    for name in required:
        if name not in sample:
            raise UserError(
                f'{source} gives no {name!r}, which {reader} reads: its pipeline has to make it and PackSample has to '
                f'keep it (it gives {", ".join(sorted(sample))})'
            )
        field = FIELDS.get(name)
        if field is None or field.per_image:
            continue
        value = np.asarray(sample[name])
        dimensions = {len(field.shape) - 1}  # a sample has no B yet
        if field.per_caption:
            dimensions.add(len(field.shape))
        if value.dtype.kind != np.dtype(field.dtype).kind or value.ndim not in dimensions:
            raise UserError(
                f'{source} gives {name!r} as {value.dtype} of shape {value.shape}, but a batch holds it as '
                f'{field.dtype} of shape {field.shape_text}, whose first dimension is the batch'
            )


def describe_fields() -> str:
    """Return the table in Markdown, for the documentation."""
    rows = ['| field | shape | type | padding | meaning |', '|---|---|---|---|---|']
    for name, field in FIELDS.items():
        padding = '' if field.padding is None else f'{field.padding:g}'
        rows.append(
            f'| `{name}` | {field.shape_text} | {field.dtype} | {padding} | {field.meaning.replace("``", "`")} |'
        )
    return '\n'.join(rows)
