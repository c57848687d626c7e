"""Base class of the inferencers: a checkpoint in, plain results out.

A new task is a subclass in a file of this folder. It says on which data sets its models are trained (``datasets``),
makes a :class:`Query` of what a person gives, and results of what the model predicts (``read_prediction``);
:class:`soho.apis.vqa.VQA` is one.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from huggingface_hub import ModelCard, ModelHubMixin
from mmengine.model import BaseModel
from torch import Tensor

from soho.apis.images import ImageInput, image_entries
from soho.apis.model_card import write_model_card
from soho.apis.model_zoo import find_model
from soho.apis.opening import OpenedModel, open_model
from soho.apis.sources import WEIGHTS, fetch_from_hub
from soho.apis.words import Words, find_words
from soho.datasets.collate import collate
from soho.datasets.storage.image_store import ImageError
from soho.datasets.transforms.base import ImageTransform
from soho.datasets.transforms.renamed import rename_transforms
from soho.engine.checkpoint.inference_spec import InferenceSpec, build_model, require_registered, save_weights
from soho.engine.checkpoint.read import HEADER_KEY, CheckpointError
from soho.engine.checkpoint.vocabulary import drop_vocabulary, encode_vocabulary, tokenizer_argument, use_vocabulary
from soho.engine.dtypes import DTYPES
from soho.errors import UserError, clip, write_option
from soho.files import write_text
from soho.models.folding import fold_norms
from soho.platform import available_cores, find_device
from soho.registry import INFERENCERS, TRANSFORMS

BATCH = 32  # samples; more at a time gain nothing, whatever their size
# What a batch may hold besides: pictures of 608 x 1024, the largest of the published tests, with 64 texts each.
CPU_PICTURES, GPU_PICTURES = 8, 32
PICTURE_PIXELS, PICTURE_TEXTS = 608 * 1024, 64
FIRST_WINDOW = 64  # samples that are sorted by shape, before anything is known of their size
WINDOW = 8  # batches, likewise, later on
Prediction = dict[str, Tensor]
Sample = dict[str, Any]


class Query(NamedTuple):
    """One sample for the model."""

    images: Sequence[ImageInput]
    """M pictures."""
    annotation: dict[str, Any]
    """What a data set would say about them, such as ``sentences``."""
    rows: int = 1
    """Entries of the prediction that belong to it."""


class Inferencer(ModelHubMixin, ABC, library_name='soho'):
    """A model with all that turns pictures into results: preprocessing, batches, device.

    Args:
        source: See :func:`soho.apis.opening.open_model`.
        config, class_names, vocabulary, revision: Likewise.
        device: ``'cuda'``, ``'cpu'``, ...; by default a GPU if there is one.
        dtype: ``'float32'``, ``'float16'`` or ``'bfloat16'`` (autocast); by default float16 on a GPU and float32
            elsewhere.
        batch_size: Samples of a batch; by default as many as are fastest for their size, up to 32.
        workers: Threads that decode images.

    Raises:
        soho.engine.checkpoint.read.CheckpointError: The checkpoint cannot be used, or is for something else.
    """

    command: ClassVar[str] = 'app'
    """Of ``soho``, by which models of this class are asked in the shell."""
    datasets: ClassVar[tuple[str, ...]] = ()
    """Types of the data sets whose models this class asks."""
    text_transforms: ClassVar[tuple[str, ...]] = ()
    """Transforms of text that a query goes through; those of images always are."""
    packed: ClassVar[tuple[str, ...]] = ()
    """Fields of a query's annotation that the model reads."""

    def __init__(
        self,
        source: str | os.PathLike | OpenedModel,
        *,
        config: str | None = None,
        class_names: str | os.PathLike | Sequence[str] | None = None,
        vocabulary: str | None = None,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: str | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> None:
        if not isinstance(source, OpenedModel):
            source = open_model(source, config, class_names, vocabulary, revision)
        self.source = source.source
        spec = self.find_spec(source)
        self.spec = replace(spec, pipeline=rename_transforms(spec.pipeline))
        if self.datasets and self.spec.dataset not in self.datasets:
            raise CheckpointError(
                f'{self.source} was trained on a {self.spec.dataset or "data set that it does not name"}, and '
                f'{type(self).__name__} asks models of {" or ".join(self.datasets)}: ask it by '
                f'{_name_way(self.spec.dataset)}'
            )
        if dtype is not None and dtype not in DTYPES:
            raise UserError(f'dtype is {dtype!r}; it is one of {", ".join(DTYPES)}')
        self.device = find_device(device)
        half = torch.float16 if self.device.type == 'cuda' else torch.float32
        self.dtype = DTYPES[dtype] if dtype else half
        self.batch_size = batch_size
        self.workers = workers or min(available_cores(), 8)
        self.transforms = self._build_transforms()
        self.model: Any = self.build(source)  # of what class is what the task knows
        # The folded model has other parameters; these are what a file holds.
        self.state = self.model.state_dict()
        self.model = fold_norms(self.model).requires_grad_(False).to(self.device)
        self.prepare_task()

    def find_spec(self, opened: OpenedModel) -> InferenceSpec:
        """The description that the checkpoint has."""
        if opened.spec is None:
            raise CheckpointError(
                f'{opened.source} does not say with which config it was trained: name it, '
                f'{write_option("config", "VQA/soho_res18_vqa")}; '
                '`soho configs` lists those that ship with soho'
            )
        return opened.spec

    def build(self, opened: OpenedModel) -> BaseModel:
        """The model in eval mode."""
        return build_model(self.spec, opened.state, self.source)

    def prepare_task(self) -> None:
        """Look for what the task needs in ``self.model`` and ``self.spec``, once both are there."""

    @abstractmethod
    def read_prediction(self, prediction: Prediction, queries: Sequence[Query]) -> list[Any]:
        """Results of a batch, one a query."""

    def predict(
        self, queries: Iterable[Query], batch_size: int | None = None, return_errors: bool = False
    ) -> Iterator[Any]:
        """Results of queries, in their order.

        Queries are taken a few batches at a time; those whose pictures have the same shape go through the model
        together, so that every picture has the canvas that it has by itself. Pictures are decoded meanwhile.

        Args:
            queries: Any number.
            batch_size: Samples of a batch; by default the inferencer's.
            return_errors: Return the :class:`soho.datasets.storage.image_store.ImageError` of a broken picture in the
                place of its result, instead of raising it.
        """
        size = batch_size or self.batch_size
        waiting = iter(queries)
        first = list(islice(waiting, 2))
        if len(first) < 2:  # a pool of threads would cost more than one picture takes
            for query in first:
                sample = self._try_prepare(query)
                yield from self._predict_window([query], [sample], self._group([query], [sample], size), return_errors)
            return
        with ThreadPoolExecutor(self.workers) as pool:

            def start(window: list[Query]) -> list[Future]:
                return [pool.submit(self._try_prepare, query) for query in window]

            window = [*first, *islice(waiting, (WINDOW * size if size else FIRST_WINDOW) - 2)]
            futures = start(window)
            while window:
                samples = [future.result() for future in futures]
                batches = self._group(window, samples, size)
                following = list(islice(waiting, WINDOW * max(map(len, batches), default=1)))
                futures = start(following)
                yield from self._predict_window(window, samples, batches, return_errors)
                window = following

    def prepare(self, query: Query) -> Sample:
        """The sample of a query, as the data set of an evaluation gives it."""
        rng = np.random.default_rng(0)
        images = [dict(image_entries(image), rng=rng, flipped=False) for image in query.images]
        annotation = dict(query.annotation, rng=rng)
        results = dict(images[0], **annotation) if len(images) == 1 else dict(annotation, images=images)
        for transform in self.transforms:
            results = transform(results)
        return results

    def find_words(self, image: ImageInput) -> Words:
        """The words of the visual dictionary that a picture holds.

        Raises:
            UserError: The model has no dictionary.
        """
        results: Any = dict(image_entries(image), rng=np.random.default_rng(0), flipped=False)
        for transform in self.transforms:
            if isinstance(transform, ImageTransform):
                results = transform(results)
        picture = {key: results[key] for key in ('image', 'image_size')}
        return find_words(self.model, self.source, picture['image'], self.collate([picture]))

    @torch.inference_mode()
    def forward(self, samples: Sequence[Sample]) -> Prediction:
        """Prediction for samples of one shape."""
        with self.autocast():
            return self.model.test_step(self.collate(samples))[0]

    def collate(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """A batch, on the CPU."""
        return collate(samples, **self.spec.collate)

    def autocast(self) -> torch.autocast:
        """Context in which the model computes in :attr:`dtype`."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _try_prepare(self, query: Query) -> Sample | ImageError:
        try:
            return self.prepare(query)
        except ImageError as error:
            return error

    def _group(
        self, queries: Sequence[Query], samples: Sequence[Sample | ImageError], size: int | None
    ) -> list[list[int]]:
        """Places of the samples of each batch: samples of one shape, ``size`` of them or as many as are fastest."""
        groups: dict[Any, list[int]] = {}
        for place, sample in enumerate(samples):
            if not isinstance(sample, ImageError):
                groups.setdefault(self._shape(sample), []).append(place)
        batches = []
        for (canvas, *_), group in groups.items():
            most = size or self._find_batch_size(canvas, queries[group[0]].rows)
            batches += [group[first : first + most] for first in range(0, len(group), most)]
        return batches

    def _find_batch_size(self, canvas: Sequence[tuple[int, int]], rows: int) -> int:
        """Samples of a batch that fit and are fastest: small pictures gain by company, large ones fill the memory."""
        pictures = CPU_PICTURES if self.device.type == 'cpu' else GPU_PICTURES
        pixels = sum(height * width for height, width in canvas)
        return max(1, min(BATCH, pictures * PICTURE_PIXELS // pixels, pictures * PICTURE_TEXTS // rows))

    def _predict_window(
        self,
        queries: Sequence[Query],
        samples: Sequence[Sample | ImageError],
        batches: Sequence[Sequence[int]],
        return_errors: bool,
    ) -> list[Any]:
        if not return_errors and (broken := [sample for sample in samples if isinstance(sample, ImageError)]):
            raise broken[0]
        results: list[Any] = list(samples)
        for places in batches:
            prediction = self.forward([results[place] for place in places])
            found = self.read_prediction(prediction, [queries[place] for place in places])
            for place, result in zip(places, found):
                results[place] = result
        return results

    def _shape(self, sample: Sample) -> tuple:
        """What samples of a batch have in common: height and width of each canvas, and the shapes of all arrays."""
        divisor = self.spec.collate.get('size_divisor', 32)
        images = sample['image'] if isinstance(sample['image'], list) else [sample['image']]
        canvas = tuple(tuple(-(-side // divisor) * divisor for side in image.shape[:2]) for image in images)
        others = ((name, np.shape(value)) for name, value in sample.items() if name not in ('image', 'image_size'))
        return canvas, *others

    def _build_transforms(self) -> list[Any]:
        """The transforms of the test pipeline that a query goes through."""
        require_registered(self.spec.pipeline, TRANSFORMS, f'the pipeline of {self.source}')
        vocab = tokenizer_argument(self.spec.vocabulary, self.source)
        transforms = []
        for step in use_vocabulary(self.spec.pipeline, vocab):
            kind = TRANSFORMS.get(str(step.get('type')))
            assert kind is not None  # it is registered
            if step['type'] in self.text_transforms or issubclass(kind, ImageTransform):
                try:
                    transforms.append(TRANSFORMS.build(step))
                except (FileNotFoundError, OSError, TypeError) as error:
                    raise CheckpointError(self._explain_transform(step, error)) from error
        return [*transforms, TRANSFORMS.build(dict(type='PackSample', keys=list(self.packed)))]

    def _explain_transform(self, step: Mapping[str, Any], error: Exception) -> str:
        tokenizer = step.get('tokenizer')
        if isinstance(tokenizer, Mapping) and not isinstance(error, TypeError):
            return (
                f'{self.source} does not hold its vocabulary, and {tokenizer.get("vocab")} is not here: give it, '
                f'{write_option("vocabulary", "vocab.txt")}'
            )
        return f'the pipeline of {self.source} cannot be built: {step["type"]}: {clip(error)}'

    def save(self, path: str | os.PathLike, dtype: str | None = None) -> None:
        """Write one file of safetensors that ``soho.load`` opens without any other.

        Args:
            path: ``.safetensors``.
            dtype: Store matrices and convolutions as ``'float16'`` or ``'bfloat16'``, in half the space; vectors, which
                are few, keep their type.
        """
        state = {
            name: value.to(DTYPES[dtype]) if dtype and value.is_floating_point() and value.dim() > 1 else value
            for name, value in self.state.items()
        }
        save_weights(path, state, self.full_spec)

    @property
    def full_spec(self) -> InferenceSpec:
        """The description with the vocabulary in it, also where that was read from a file."""
        # a captioner's tokenizer reads what the model writes, and no query goes through it
        owner = next((part for part in (self, *self.transforms) if hasattr(part, 'tokenizer')), None)
        vocabulary = encode_vocabulary(getattr(owner, 'tokenizer', None)) or self.spec.vocabulary
        pipeline = drop_vocabulary(self.spec.pipeline) if vocabulary else self.spec.pipeline
        return replace(self.spec, vocabulary=vocabulary, pipeline=pipeline)

    def _save_pretrained(self, save_directory: Path) -> None:
        self.save(save_directory / WEIGHTS)
        write_text(save_directory / 'config.json', f'{{"{HEADER_KEY}": {self.full_spec.to_json()}}}\n')

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike,
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
        **options: Any,
    ) -> 'Inferencer':
        """The model in a folder of ``save_pretrained``, in a repository of the Hub, or wherever the class finds one.

        The Hub's own method reads ``config.json`` first, which is for people here: the weights hold the same.

        Args:
            pretrained_model_name_or_path: Folder, ``owner/name``, or another source of the class.
            force_download, token, cache_dir, local_files_only, revision: As of ``huggingface_hub.ModelHubMixin``.
            **options: Of the class.

        Raises:
            soho.engine.checkpoint.read.CheckpointError: There is no such model.
        """
        source = os.fspath(pretrained_model_name_or_path)
        if not os.path.exists(source) and find_model(source) is None:
            source = fetch_from_hub(
                source,
                revision,
                force_download=force_download,
                token=token,
                cache_dir=cache_dir,
                local_files_only=local_files_only,
            )
        return cls(source, **options)

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: dict[str, Any] | None = None, **options: Any) -> str:
        """As of ``huggingface_hub.ModelHubMixin``, with a card that asks the model by its name on the Hub."""
        card = dict(dict(repo_id=repo_id), **(model_card_kwargs or {}))
        return super().push_to_hub(repo_id, model_card_kwargs=card, **options)

    def generate_model_card(self, *args, **kwargs) -> ModelCard:
        """Card with what the checkpoint says about its data, training and figures."""
        return ModelCard(write_model_card(type(self).__name__, self.spec, **kwargs))


def find_class(dataset: str) -> type[Inferencer] | None:
    """The class that asks models which were trained on a data set of this type; ``None`` if none does."""
    INFERENCERS.import_from_location()
    kinds = [kind for kind in INFERENCERS.module_dict.values() if issubclass(kind, Inferencer)]
    return next((kind for kind in kinds if dataset in kind.datasets), None)


def _name_way(dataset: str) -> str:
    """How models of a data set are asked, in Python and in the shell."""
    kind = find_class(dataset)
    name, command = (kind.__name__, kind.command) if kind else ('FeatureExtractor', 'features')
    return f'soho.{name} (in the shell `soho {command}`)'
