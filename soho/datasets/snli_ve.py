"""Visual entailment: does a sentence follow from an image?

Source: Xie et al., "Visual Entailment: A Novel Task for Fine-Grained Image Understanding" (arXiv:1901.06706); data:
https://github.com/necla-ml/SNLI-VE.
"""

from collections import Counter, defaultdict
from typing import Any

from mmengine.logging import print_log

from soho.datasets.storage.image_sizes import Size, header_size
from soho.datasets.storage.image_store import ImageError
from soho.datasets.storage.index import IndexBuilder
from soho.datasets.storage.json_files import stream_lines
from soho.datasets.vqa import VQADataset
from soho.errors import UserError
from soho.registry import DATASETS

LABELS = ('contradiction', 'neutral', 'entailment')
UNDECIDED = '-'  # of statements whose annotators did not agree
KEYS = ('Flickr30K_ID', 'gold_label', 'sentence2')


def parse_statement(record: dict[str, Any], where: str) -> tuple[str, str, int | None]:
    """Return file name, hypothesis and label (None where the annotators did not agree) of a line of SNLI-VE.

    Args:
        record: With ``KEYS``.
        where: Name of the line, for the error.

    Raises:
        UserError: The hypothesis is empty, or the label is another one.
    """
    hypothesis, label = record['sentence2'], record['gold_label']
    if not isinstance(hypothesis, str) or not hypothesis.strip():
        raise UserError(f'{where} has the hypothesis (sentence2) {hypothesis!r:.40}; it is a text that is not empty')
    if label not in (*LABELS, UNDECIDED):
        raise UserError(f'{where} has the gold_label {label!r:.40}; it is one of {", ".join(LABELS)}, or {UNDECIDED}')
    name = f'{record["Flickr30K_ID"]}.jpg'
    return name, hypothesis, None if label == UNDECIDED else LABELS.index(label)


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
        out.meta['label2ans'] = list(LABELS)
        questions, ids = out.texts('question'), out.numbers('question_id')
        labels, scores = out.numbers('label', 'i'), out.numbers('score', 'f')
        labels_end, questions_end = out.numbers('labels_end'), out.numbers('questions_end')
        by_image: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
        sizes: dict[str, Size] = {}
        counts: Counter = Counter()
        for number, record in enumerate(stream_lines(self.ann_file, required=KEYS)):
            name, hypothesis, label = parse_statement(record, f'{self.ann_file}: statement {number + 1}')
            counts[label is None] += 1
            if label is None:
                continue
            if name not in by_image:
                sizes[name] = self._size(name, record, number)
            by_image[name].append((number, hypothesis, label))
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

    def _size(self, name: str, record: dict[str, Any], number: int) -> Size:
        if 'height' in record and 'width' in record:
            return Size(name, record['height'], record['width'])
        if self.store is None:
            return Size(name, 0, 0)
        try:
            return header_size(self.store, name)
        except ImageError as error:
            raise UserError(
                f'{self.ann_file}: statement {number + 1} is of an image that is not there: {error}'
            ) from error
