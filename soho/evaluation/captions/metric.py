"""Evaluation of generated captions against reference captions."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log

from soho.datasets.base import first_id, id_order
from soho.datasets.batch import Batch
from soho.datasets.records import CocoCaption
from soho.datasets.storage.json_files import PathLike, write_json
from soho.datasets.storage.json_records import stream_records
from soho.datasets.tokenizer import SentencePieceTokenizer
from soho.errors import UserError, quote
from soho.evaluation.baselines import warn_unless_beaten
from soho.evaluation.captions.scores import Score, bleu, cider_d, rouge_l
from soho.evaluation.captions.treebank import tokenize
from soho.evaluation.evaluator import Metric, Prediction
from soho.registry import METRICS

JAVA_METRICS = ('meteor', 'spice')


def load_references(annotation_file: PathLike) -> dict[int | str, list[str]]:
    """Captions by image id from COCO's ``captions_*.json``, in the order in which the images first appear.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The JSON is broken, or an annotation lacks a key.
    """
    references: dict[int | str, list[str]] = {}
    for item in stream_records(annotation_file, CocoCaption, 'annotations'):
        references.setdefault(item.image_id, []).append(item.caption)
    return references


def score_captions(
    captions: Mapping[Any, str], references: Mapping[Any, Sequence[str]], java: bool = False
) -> dict[str, Score]:
    """BLEU-1 to -4, ROUGE-L and CIDEr-D of one caption per image, as fractions (CIDEr-D up to 10).

    Args:
        captions: Generated caption by image id.
        references: Reference captions by image id, in the order of the scores.
        java: Also METEOR and SPICE, if the package pycocoevalcap and Java are installed; those
            that are not computed are logged with the reason.

    Raises:
        KeyError: An image of ``references`` has no caption.
    """
    hypotheses = tokenize([captions[image] for image in references])
    flat = iter(tokenize([text for texts in references.values() for text in texts]))
    tokens = [[next(flat) for _ in texts] for texts in references.values()]
    scores = {f'bleu_{n}': score for n, score in enumerate(bleu(hypotheses, tokens), start=1)}
    scores.update(rouge_l=rouge_l(hypotheses, tokens), cider=cider_d(hypotheses, tokens))
    if java:
        for name in JAVA_METRICS:
            try:
                scores[name] = _java_score(name, hypotheses, tokens)
            except Exception as error:  # no failure of an external program may lose the other metrics
                print_log(f'{name} is not computed: {error}', logger='current')
    return scores


def _java_score(name: str, hypotheses: list[str], references: list[list[str]]) -> Score:
    """Score of METEOR or SPICE from the official programs."""
    if shutil.which('java') is None:
        raise RuntimeError('Java is not installed')
    overall, per_image = _java_scorer(name)().compute_score(
        dict(enumerate(references)), {i: [caption] for i, caption in enumerate(hypotheses)}
    )
    values = [value['All']['f'] if isinstance(value, dict) else value for value in per_image]
    return Score(float(overall), np.array(values, np.float64))


def _java_scorer(name: str) -> Callable[[], Any]:
    if name == 'meteor':
        from pycocoevalcap.meteor.meteor import Meteor

        return Meteor
    from pycocoevalcap.spice.spice import Spice

    return Spice


class Record(NamedTuple):
    """Caption of an image."""

    image_id: int | str
    caption: str


@METRICS.register_module()
class CaptionMetrics(Metric):
    """Official COCO caption evaluation: ``bleu_1`` to ``bleu_4``, ``rouge_l`` and ``cider`` (CIDEr-D).

    Values are fractions, as the official code prints them; the VirTex paper
    reports 100 times CIDEr.

    Args:
        annotation_file: COCO captions json.
        tokenizer: Arguments of :class:`soho.datasets.tokenizer.SentencePieceTokenizer`.
        java: Also compute ``meteor`` and ``spice``, which takes minutes, and needs the package pycocoevalcap and
            Java; a log line says why one was not computed.
        constant_caption: A caption that fits many training pictures. ``cider_constant`` is then what giving it for
            every picture scores, and a ``cider`` that is not above it is a warning.
        out_file: File for the captions in the official COCO results format (json).
        prefix: Prefix of the metrics' names.

    Raises:
        FileNotFoundError, ValueError: See :func:`load_references`; raised when built.
    """

    def __init__(
        self,
        annotation_file: str,
        tokenizer: dict[str, Any],
        java: bool = False,
        constant_caption: str | None = None,
        out_file: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(out_file=out_file, prefix=prefix)
        self.annotation_file = annotation_file
        self.tokenizer = SentencePieceTokenizer(**tokenizer)
        self.java = java
        self.constant_caption = constant_caption
        self.constant_cider: float | None = None  # computed once
        self.references = load_references(annotation_file) if is_main_process() else None

    def process(self, data_batch: Batch, prediction: Prediction) -> None:
        """Store the caption of each image.

        Args:
            data_batch: Ignored.
            prediction: ``image_id`` int64 (B,) and ``tokens`` int64 (B, L), which end
                at the first [EOS].
        """
        for image_id, ids in zip(prediction['image_id'].tolist(), prediction['tokens'].tolist()):
            self.results.append(Record(self.original_id('image_ids', image_id), self.tokenizer.decode(ids)))

    def compute_metrics(self, results: list[Record]) -> dict[str, float]:
        """Compute the metrics; see the class.

        Raises:
            UserError: An image is captioned twice, not at all, or is unknown.
        """
        assert self.references is not None, 'metrics are computed on the main process'
        captions = {record.image_id: record.caption for record in results}
        if len(captions) < len(results):
            raise UserError(f'{len(results) - len(captions)} images were captioned more than once.')
        unknown, missing = captions.keys() - self.references.keys(), self.references.keys() - captions.keys()
        for images, what in (
            (unknown, 'lacks {} images that were captioned'),
            (missing, 'has {} images that were not captioned'),
        ):
            if images:
                raise UserError(
                    f'{self.annotation_file} {what.format(len(images))}; the first is {quote(first_id(images))}.'
                )
        scores = score_captions(captions, self.references, self.java)
        metrics = {name: score.overall for name, score in scores.items()}
        if self.constant_caption is None:
            return metrics
        if self.constant_cider is None:
            always = dict.fromkeys(self.references, self.constant_caption)
            self.constant_cider = score_captions(always, self.references)['cider'].overall
        rule = f'always giving {self.constant_caption!r}'
        warn_unless_beaten('CIDEr', metrics['cider'], self.constant_cider, rule)
        return dict(metrics, cider_constant=self.constant_cider)

    def write(self, results: list[Record], path: str) -> None:
        """Write ``[{image_id, caption}, ...]`` in the order of the image ids."""
        write_json(path, [record._asdict() for record in sorted(results, key=lambda record: id_order(record.image_id))])
