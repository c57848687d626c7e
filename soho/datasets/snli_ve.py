"""Visual entailment: does a sentence follow from an image?

Source: Xie et al., "Visual Entailment: A Novel Task for Fine-Grained Image Understanding" (arXiv:1901.06706); data:
https://github.com/necla-ml/SNLI-VE.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from mmengine.logging import print_log

from soho.datasets.base import MIN_SIDE
from soho.datasets.records import ENTAILMENT_LABELS, EntailmentStatement
from soho.datasets.storage.image_sizes import Size, header_size
from soho.datasets.storage.image_store import ImageError, ImageStore
from soho.datasets.storage.index import IndexBuilder
from soho.datasets.storage.json_records import stream_lines
from soho.datasets.vqa import VQADataset
from soho.errors import UserError, quote
from soho.files import PathLike
from soho.registry import DATASETS

UNDECIDED = '-'  # of statements whose annotators did not agree


class Statement(NamedTuple):
    """A hypothesis about an image."""

    file_name: str
    hypothesis: str
    label: int | None
    """Index in ``ENTAILMENT_LABELS``; None where the annotators did not agree."""
    size: Size | None
    """Size of the image, where the line states it."""


def read_statements(ann_file: PathLike) -> Iterator[tuple[str, Statement]]:
    """Yield the lines of an SNLI-VE file, and for messages the place of each.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: A line is not of SNLI-VE, its hypothesis is empty or its label another one.
    """
    for number, record in enumerate(stream_lines(ann_file, EntailmentStatement), start=1):
        where = f'{ann_file}: statement {number}'
        if not record.sentence2.strip():
            raise UserError(f'{where} has an empty hypothesis (sentence2); it is a text that is not empty')
        if record.gold_label not in (*ENTAILMENT_LABELS, UNDECIDED):
            raise UserError(
                f'{where} has the gold_label {quote(record.gold_label)}; it is one of {", ".join(ENTAILMENT_LABELS)}, '
                f'or {UNDECIDED}'
            )
        label = None if record.gold_label == UNDECIDED else ENTAILMENT_LABELS.index(record.gold_label)
        name = f'{record.Flickr30K_ID}.jpg'
        size = Size(name, record.height, record.width) if record.height and record.width else None
        yield where, Statement(name, record.sentence2, label, size)


def image_size(store: ImageStore, name: str, where: str) -> Size:
    """Return the size of the image of a statement.

    Raises:
        UserError: It is not there, or has no readable header.
    """
    try:
        return header_size(store, name)
    except ImageError as error:
        raise UserError(f'{where} is of an image that is not there: {error}') from error


@DATASETS.register_module()
class SNLIVEDataset(VQADataset):
    """Images with groups of ``sentence_group`` hypotheses, each of one of three classes.

    The annotation file is an official ``snli_ve_*.jsonl``, of whose lines ``Flickr30K_ID`` (the image), ``sentence2``
    (the hypothesis) and ``gold_label`` are read; the premise's caption (``sentence1``) is not, since the image takes
    its place. Lines with the label '-' are left out and counted. The sizes of the images are read from
    ``height`` and ``width`` where all lines have them, else from the image files, once.

    A sample has the fields of :class:`VQADataset`; ``question_id`` is the number of the line, from 0.

    Args:
        **kwargs: See :class:`VQADataset`.

    Raises:
        UserError: A hypothesis is empty, a label is none of the three, or an image is not there.
    """

    kind = 'entailment'

    def _scan(self, out: IndexBuilder) -> None:
        out.meta['label2ans'] = list(ENTAILMENT_LABELS)
        questions, ids = out.texts('question'), out.numbers('question_id')
        labels, scores = out.numbers('label', 'i'), out.numbers('score', 'f')
        labels_end, questions_end = out.numbers('labels_end'), out.numbers('questions_end')
        by_image: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        sizes: dict[str, Size] = {}
        counts: Counter = Counter()
        for number, (where, statement) in enumerate(read_statements(self.ann_file)):
            counts[statement.label is None] += 1
            if statement.label is None:
                continue
            name = statement.file_name
            if name not in sizes:
                unknown = Size(name, MIN_SIDE, MIN_SIDE)  # of text alone
                sizes[name] = statement.size or (image_size(self.store, name, where) if self.store else unknown)
            by_image[name].append((number, statement.hypothesis, statement.label))
        if counts[True]:
            print_log(
                f'{self.ann_file}: left out {counts[True]} of {sum(counts.values())} statements whose annotators did '
                f"not agree (gold_label '{UNDECIDED}')",
                'current',
            )
        for name, statements in by_image.items():
            out.image(dict(sizes[name]._asdict(), image_id=name.removesuffix('.jpg')))
            for number, hypothesis, label in statements:
                questions.append(hypothesis)
                ids.append(number)
                labels.append(label)
                scores.append(1.0)
                labels_end.append(len(labels))
            questions_end.append(len(questions))
