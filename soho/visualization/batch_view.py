"""What a model gets of a sample, in words and pictures, under the names of the batch table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from soho.datasets.batch import FIELDS
from soho.visualization.pictures import jpeg_uri
from soho.visualization.report import SampleView

NO_TARGET = -100  # value of ``mlm_labels`` where no token is masked
LONGEST = 480  # pixels of a picture in the page
COVER = (214, 60, 160)  # of masked cells, RGB
COLORS = ((230, 90, 40), (40, 130, 220), (30, 160, 110), (150, 100, 210))  # of boxes, RGB, by class
MAX_NAMES = 12  # labels that are written out


class BatchReader:
    """Translation of batches, as collate makes them, into words and pictures.

    Every field of :mod:`soho.datasets.batch` is shown: those that hold tokens as text, labels by the name of their
    class, all others as numbers. Fields that the table lacks are shown as numbers too.

    Args:
        tokenizer: Tokenizer of the pipeline; ``None``: tokens are shown as numbers.
        metainfo: Of the data set; ``class_names`` and ``label_names`` are read.
    """

    def __init__(self, tokenizer: Any, metainfo: Mapping[str, Any]) -> None:
        self.tokenizer = tokenizer
        self.class_names: Sequence[str] = metainfo.get('class_names') or ()
        self.label_names: Mapping[str, Sequence[str]] = metainfo.get('label_names') or {}
        self.writers: dict[str, Callable[[Mapping[str, np.ndarray], np.ndarray], str]] = {
            'input_ids': self._sentences,
            'mlm_labels': self._masked_tokens,
            'itm_labels': self._matching,
            'answer_labels': self._answers,
            'caption_tokens': self._tokens,
            'noitpac_tokens': self._tokens,
            'masked_labels': self._masked_caption_tokens,
            'attribute_labels': self._attributes,
            'box_labels': self._box_labels,
        }
        # Shown with another field, or as a picture.
        self.told = {'image', 'attention_mask', 'sentence_mask', 'answer_scores', 'boxes', 'mask_edges', 'mvm_cell'}

    def read(self, batch: Mapping[str, Any], masked: Sequence[np.ndarray] = ()) -> list[SampleView]:
        """The samples of a batch.

        Args:
            batch: Tensors or arrays by name, on the CPU; ``image`` uint8 (B*M, 3, H, W), as it is before normalisation.
            masked: The cells of each image that are masked, (h, w) bool, which are covered in its picture.
        """
        arrays = {name: np.asarray(value) for name, value in batch.items()}
        samples = min((len(value) for name, value in arrays.items() if not _per_image(name)), default=0)
        samples = samples or len(arrays['image'])
        images = len(masked) // samples
        return [
            self._sample(_rows_of(arrays, number, samples), masked[number * images : (number + 1) * images])
            for number in range(samples)
        ]

    def _sample(self, sample: Mapping[str, np.ndarray], masked: Sequence[np.ndarray]) -> SampleView:
        names = [name for name in FIELDS if name in sample] + [name for name in sample if name not in FIELDS]
        facts = [
            (name, self.writers[name](sample, sample[name]) if name in self.writers else _numbers(sample[name]))
            for name in names
            if name not in self.told
        ]
        if 'mvm_cell' in sample:
            facts.append(('mvm_cell', self._masked_cells(sample, masked)))
        drawn = [draw_boxes(image.transpose(1, 2, 0), sample) for image in sample.get('image', ())]
        drawn = [cover_cells(picture, cells) for picture, cells in zip(drawn, masked)] if len(masked) else drawn
        return SampleView([jpeg_uri(picture, LONGEST, quality=88) for picture in drawn], facts)

    def _pieces(self, ids: np.ndarray) -> list[str]:
        backend = getattr(self.tokenizer, 'backend', None)
        piece = getattr(backend, 'id_to_token', None) or getattr(backend, 'id_to_piece', None)
        return [str(int(token)) if piece is None else str(piece(int(token))) for token in ids]

    def _tokens(self, sample: Mapping[str, np.ndarray], tokens: np.ndarray) -> str:
        return '\n'.join(' '.join(self._pieces(np.trim_zeros(row, 'b'))) for row in np.atleast_2d(tokens))

    def _sentences(self, sample: Mapping[str, np.ndarray], ids: np.ndarray) -> str:
        attention, held = sample.get('attention_mask', np.ones_like(ids)), sample.get('sentence_mask')
        lines = [' '.join(self._pieces(row[mask != 0])) for row, mask in zip(ids, attention)]
        return '\n'.join(line if held is None or held[row] else '(no sentence)' for row, line in enumerate(lines))

    def _masked_tokens(self, sample: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
        return '\n'.join(self._name_tokens(row, row != NO_TARGET) for row in labels)

    def _masked_caption_tokens(self, sample: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
        return self._name_tokens(labels, labels != 0)

    def _name_tokens(self, labels: np.ndarray, chosen: np.ndarray) -> str:
        places = np.flatnonzero(chosen)
        words = self._pieces(labels[places])
        return ', '.join(f'{word} (token {place})' for place, word in zip(places, words)) or '(none)'

    def _matching(self, sample: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
        return '\n'.join('of this image' if label else 'of another image' for label in labels)

    def _masked_cells(self, sample: Mapping[str, np.ndarray], masked: Sequence[np.ndarray]) -> str:
        sentences = np.flatnonzero(sample.get('mvm_sentences', ()))
        cells = ', '.join(f'at {100 * float(cell):.0f} % of the valid cells' for cell in sample['mvm_cell'])
        if len(masked) and len(sentences):
            cells += ' (covered: ' + ', '.join(f'{found.sum()} of {found.size}' for found in masked) + ')'
        return (
            f'{cells}, for sentence {", ".join(map(str, sentences))}' if len(sentences) else f'{cells}, for no sentence'
        )

    def _answers(self, sample: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
        scores = sample.get('answer_scores', np.ones(labels.shape))
        lines = []
        for row, weights in zip(labels, scores):
            known = [f'{self._class(label)} ({score:.2g})' for label, score in zip(row, weights) if label >= 0]
            lines.append(', '.join(known) or '(none)')
        return '\n'.join(lines)

    def _class(self, label: int) -> str:
        return self.class_names[label] if 0 <= label < len(self.class_names) else str(int(label))

    def _attributes(self, sample: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
        names = list(self.label_names.items()) or [('label', self.class_names)] * len(labels)
        lines = []
        for (attribute, values), label in zip(names, labels):
            value = '(not known)' if label < 0 else values[label] if label < len(values) else str(int(label))
            lines.append(f'{attribute}: {value}')
        return '\n'.join(lines[:MAX_NAMES] + ['...'] * (len(lines) > MAX_NAMES))

    def _box_labels(self, sample: Mapping[str, np.ndarray], labels: np.ndarray) -> str:
        # Classes of boxes count from 1.
        boxes = sample.get('boxes', np.zeros((len(labels), 4)))
        return '\n'.join(
            f'{self._class(label - 1)} at {", ".join(f"{side:.0f}" for side in box)}'
            for label, box in zip(labels, boxes)
            if label > 0
        )


def draw_boxes(image: np.ndarray, sample: Mapping[str, np.ndarray]) -> np.ndarray:
    """A copy of a picture with the boxes of its sample.

    Args:
        image: (H, W, 3) uint8 RGB.
        sample: ``boxes`` (K, 4) in pixels and ``box_labels`` (K,), 0 for padding; without them nothing is drawn.
    """
    drawn = image.copy(order='C')  # as OpenCV takes it
    for label, box in zip(sample.get('box_labels', ()), sample.get('boxes', ())):
        if label > 0:
            x0, y0, x1, y1 = (int(round(float(side))) for side in box)
            cv2.rectangle(drawn, (x0, y0), (x1, y1), COLORS[int(label) % len(COLORS)], 1)
    return drawn


def cover_cells(image: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """A copy of a picture whose masked cells are covered.

    Args:
        image: (H, W, 3) uint8 RGB.
        cells: (h, w) bool over the whole picture.
    """
    covered = cv2.resize(cells.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST) > 0
    drawn = image.copy(order='C')
    drawn[covered] = (0.25 * drawn[covered] + 0.75 * np.array(COVER)).astype(np.uint8)
    return drawn


def _per_image(name: str) -> bool:
    return name in FIELDS and FIELDS[name].per_image


def _rows_of(arrays: Mapping[str, np.ndarray], number: int, samples: int) -> dict[str, np.ndarray]:
    """One sample of a batch; fields of images keep the dimension M."""
    sample = {}
    for name, value in arrays.items():
        if _per_image(name):
            images = len(value) // samples
            sample[name] = value[number * images : (number + 1) * images]
        else:
            sample[name] = value[number]
    return sample


def _numbers(value: np.ndarray) -> str:
    return np.array2string(value, threshold=64, edgeitems=4, max_line_width=100)
