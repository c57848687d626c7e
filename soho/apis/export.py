"""Models as files of ONNX or torch.export, which run in programs that have no soho.

Two parts of a checkpoint leave: what answers a question about a picture, and the CNN. Both take pictures of uint8 and
normalise them themselves, in batches and of heights and widths of any size, and with questions of any length. What a
program needs besides, such as the answers and the vocabulary, goes into a file of json beside.
"""

import importlib.util
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from soho.apis.inferencer import Inferencer
from soho.apis.vqa import VQA
from soho.errors import UserError, first_line
from soho.files import PathLike, atomic_path, write_text
from soho.models.necks.positions import valid_cells

BOUND = 1e-4
"""Largest difference to the model itself that an exported file may have, as a share of the largest output."""
CHECKED = ((1, 128, 192), (3, 192, 128), (2, 161, 227))
"""Pictures of a batch, height and width of the canvas; none is what the model was traced with."""
TRACED = (2, 160, 224)
PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
ONNX, TORCH = '.onnx', '.pt2'


class Exported(NamedTuple):
    """What was written."""

    part: str
    """``'vqa'`` or ``'cnn'``."""
    files: tuple[str, str]
    """The model, and the json beside."""
    differences: dict[str, float]
    """Of each batch that was checked, by its shape: the largest difference, as a share of the largest output."""


class Part(nn.Module):
    """Base class of what is exported: a module whose inputs and outputs are tensors alone.

    Args:
        inferencer: Whose model it is.
    """

    inputs: ClassVar[dict[str, tuple[str, tuple[str | int, ...]]]] = {
        'image': ('uint8', ('batch', 3, 'height', 'width')),
        'image_size': ('int64', ('batch', 2)),
    }
    """Dtype and shape by name; a name in the shape of an input is a size that may change."""
    outputs: ClassVar[dict[str, tuple[str, tuple[str | int, ...]]]] = {}

    def __init__(self, inferencer: Inferencer) -> None:
        super().__init__()
        self.model: Any = inferencer.model

    def make_inputs(self, batch: int, height: int, width: int, seed: int = 0) -> dict[str, Tensor]:
        """Random pictures, each on a part of the canvas of its own, and random questions."""
        rng = np.random.default_rng(seed)
        shrink = np.arange(batch)[:, None] * 5
        arrays = dict(
            image=rng.integers(0, 256, (batch, 3, height, width), np.uint8),
            image_size=np.array([[height, width]]) - shrink,
        )
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


class AnswerScores(Part):
    """Pictures, each with a question, to the scores of all answers."""

    inputs: ClassVar = {
        **Part.inputs,
        'input_ids': ('int64', ('batch', 'tokens')),
        'attention_mask': ('int64', ('batch', 'tokens')),
    }
    outputs: ClassVar = {'scores': ('float32', ('batch', 'answers'))}

    def __init__(self, inferencer: Inferencer) -> None:
        super().__init__(inferencer)
        if not isinstance(inferencer, VQA):
            raise UserError(f'{inferencer.source} answers no questions; its CNN can be exported: --part cnn')
        if self.model.backbone is None or inferencer.head.num_images != 1:
            raise UserError(
                f'{inferencer.source} reads {inferencer.head.num_images if self.model.backbone else "no"} pictures '
                'with a question; models that read one can be exported'
            )
        self.head = inferencer.head
        self.longest = next(step.tokenizer.max_length for step in inferencer.transforms if hasattr(step, 'tokenizer'))

    def forward(self, image: Tensor, image_size: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """
        Args:
            image: (B, 3, H, W) uint8 RGB; each picture in the top left corner of its canvas.
            image_size: (B, 2) int64, height and width of each picture.
            input_ids: (B, L) int64.
            attention_mask: (B, L) int64, 1 at real tokens.

        Returns:
            (B, A) float32 probabilities.
        """
        visual = self.model.encode_image(self.model.data_preprocessor.normalize(image, image_size), image_size)
        text, _ = self.model.language(input_ids, attention_mask, visual.tokens[:, 0], visual.valid)
        return self.head.probabilities(self.head.classifier(text[:, 0]))

    def make_inputs(self, batch: int, height: int, width: int, seed: int = 0) -> dict[str, Tensor]:
        made = super().make_inputs(batch, height, width, seed)
        lengths = torch.arange(batch) + 4
        longest = min(int(lengths.max()) + 2, self.longest)
        vocabulary = self.model.language.word_embeddings.size(0)
        random = torch.Generator().manual_seed(seed)
        made['input_ids'] = torch.randint(vocabulary, (batch, longest), generator=random)
        made['attention_mask'] = (torch.arange(longest) < lengths[:, None]).long()
        return made


class ImageFeatures(Part):
    """Pictures to the last feature map of the CNN and its mean over each picture."""

    outputs: ClassVar = {
        'feature': ('float32', ('batch', 'channels', 'rows', 'columns')),
        'vector': ('float32', ('batch', 'channels')),
    }

    def __init__(self, inferencer: Inferencer) -> None:
        super().__init__(inferencer)
        if getattr(self.model, 'backbone', None) is None:
            raise UserError(f'{inferencer.source} has no CNN to export: it works without the image')

    def forward(self, image: Tensor, image_size: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            image: (B, 3, H, W) uint8 RGB; each picture in the top left corner of its canvas.
            image_size: (B, 2) int64, height and width of each picture.

        Returns:
            (B, C, h, w) float32 maps, and (B, C) float32 means over the cells on the picture.
        """
        feature = self.model.backbone(self.model.data_preprocessor.normalize(image, image_size))[-1]
        canvas, grid = (image.size(2), image.size(3)), (feature.size(2), feature.size(3))
        valid = valid_cells(image_size, canvas, grid)[:, None].to(feature.dtype)  # (B, 1, h, w)
        return feature, (feature * valid).sum((2, 3)) / valid.sum((2, 3))


PARTS: dict[str, type[Part]] = dict(vqa=AnswerScores, cnn=ImageFeatures)


def export_model(inferencer: Inferencer, out: PathLike, part: str | None = None, bound: float = BOUND) -> Exported:
    """Write a part of a model as a file, and what else a program needs as json beside it.

    The file is read again and compared with the model on several sizes of pictures and batches; one that differs by
    more than ``bound`` is not kept.

    Args:
        inferencer: On the CPU.
        out: ``.onnx``, or ``.pt2`` for ``torch.export``.
        part: ``'vqa'``: pictures and questions to answers; ``'cnn'``: pictures to features. By default the first of
            them that the model has.
        bound: Largest difference that is allowed, as a share of the largest output.

    Raises:
        UserError: The model has no such part, this part cannot be exported, a package is missing, or the outputs
            differ.
    """
    path = Path(out)
    write, read = _find_format(path)
    if inferencer.device.type != 'cpu':
        raise UserError(f"a model is exported on the CPU, and this one is on {inferencer.device}: device='cpu'")
    part = part or ('vqa' if isinstance(inferencer, VQA) else 'cnn')
    module = PARTS[part](inferencer).eval()
    described = path.with_suffix('.json')
    with atomic_path(path) as temporary:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # what exporters have to say about themselves
            try:
                write(module, temporary)
            except Exception as error:  # each exporter has many classes of its own
                reason = first_line(str(error), type(error).__name__)
                raise UserError(f'{part} of {inferencer.source} cannot be exported to {path.name}: {reason}') from error
            differences = dict(compare(module, read(temporary)))
        if not max(differences.values()) <= bound:
            shape = max(differences, key=lambda shape: differences[shape])
            raise UserError(
                f'{path} is not written: at the size {shape} its outputs differ from those of {inferencer.source} by '
                f'{differences[shape]:.1e} of the largest, and {bound:.0e} is allowed'
            )
    write_text(described, json.dumps(describe(module, inferencer, part, differences), indent=1, ensure_ascii=False))
    return Exported(part, (str(path), str(described)), differences)


def compare(module: Part, run: Callable[..., Sequence[Tensor]]) -> Iterator[tuple[str, float]]:
    """Of each batch of ``CHECKED``, its shape and the largest difference as a share of the largest output."""
    for seed, shape in enumerate(CHECKED, start=1):
        inputs = module.make_inputs(*shape, seed)
        wanted = module(**inputs)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        shares = [
            ((ours - theirs).abs().max() / ours.abs().max()).item() if ours.shape == theirs.shape else math.inf
            for ours, theirs in zip(wanted, run(**inputs), strict=True)
        ]
        yield ' x '.join(map(str, shape)), max(math.inf if math.isnan(share) else share for share in shares)


def describe(module: Part, inferencer: Inferencer, part: str, differences: Mapping[str, float]) -> dict[str, Any]:
    """What a program needs besides the model: inputs and outputs, preprocessing, answers, vocabulary."""
    spec = inferencer.full_spec
    kept = ['pipeline', 'collate', 'facts', *(['class_names', 'vocabulary'] if part == 'vqa' else ())]
    shapes = dict(inputs=module.inputs, outputs=module.outputs)
    described = {
        kind: {name: dict(dtype=dtype, shape=list(shape)) for name, (dtype, shape) in tensors.items()}
        for kind, tensors in shapes.items()
    }
    return dict(
        part=part,
        source=inferencer.source,
        **described,
        **{name: getattr(spec, name) for name in kept},
        differences=differences,
    )


def _find_format(path: Path) -> tuple[Callable, Callable]:
    """How a file of this name is written, and how it is read and run."""
    if path.suffix == ONNX:
        if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
            raise UserError(f'ONNX needs {", ".join(missing)}: pip install {" ".join(missing)}')
        return _write_onnx, _read_onnx
    if path.suffix == TORCH:
        return _write_program, _read_program
    raise UserError(f'{path} ends in neither {ONNX} nor {TORCH} (torch.export), and its ending says what to write')


def _changing_sizes(module: Part, name_size: Callable[[str], Any]) -> dict[str, dict[int, Any]]:
    """The axes of each input whose size may change, each with what ``name_size`` makes of the name."""
    return {
        name: {axis: name_size(size) for axis, size in enumerate(shape) if isinstance(size, str)}
        for name, (_, shape) in module.inputs.items()
    }


def _write_program(module: Part, path: Path) -> None:
    shapes = _changing_sizes(module, lambda name: torch.export.Dim.DYNAMIC)
    torch.export.save(torch.export.export(module, (), module.make_inputs(*TRACED), dynamic_shapes=shapes), path)


def _write_onnx(module: Part, path: Path) -> None:
    torch.onnx.export(
        module,
        (),
        path,
        kwargs=module.make_inputs(*TRACED),
        dynamic_shapes=_changing_sizes(module, str),
        input_names=list(module.inputs),
        output_names=list(module.outputs),
        external_data=False,
        verbose=False,
    )


def _read_onnx(path: Path) -> Callable[..., list[Tensor]]:
    from onnxruntime import InferenceSession

    session = InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(**inputs: Tensor) -> list[Tensor]:
        return [torch.from_numpy(a) for a in session.run(None, {name: value.numpy() for name, value in inputs.items()})]

    return run


def _read_program(path: Path) -> Callable[..., Sequence[Tensor]]:
    module = torch.export.load(path).module()

    def run(**inputs: Tensor) -> Sequence[Tensor]:
        found = module(**inputs)
        return found if isinstance(found, (tuple, list)) else (found,)

    return run
