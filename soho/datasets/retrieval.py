"""Images, their captions and captions of other images, for image-text retrieval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from soho.datasets.batch import TOKEN_FIELDS
from soho.datasets.collate import CanvasSizes, Sample, collate
from soho.datasets.pretrain import PretrainDataset
from soho.datasets.storage.index import expand
from soho.errors import UserError
from soho.registry import DATASETS, FUNCTIONS


@DATASETS.register_module()
class RetrievalDataset(PretrainDataset):
    """Images, each with one of its captions, sampled anew in every epoch, and captions of other images.

    The annotation file is that of :class:`PretrainDataset`; ``tools/prepare/retrieval.py`` makes it from the public
    splits. In test mode a sample is an image with its first caption, in the order of the file; :meth:`encode_captions`
    returns all captions, with which it is compared.

    Args:
        negatives: Captions of other images in a training sample; 20 in the manner of Pixel-BERT (arXiv:2004.00849).
            0 leaves them to :func:`collate_in_batch`.
        num_images_used: The first so many images of the file, for a quick validation; ``None`` takes all.
        **kwargs: See :class:`ImageTextDataset`, without ``sentence_group``.
    """

    def __init__(self, *args, negatives: int = 20, num_images_used: int | None = None, **kwargs) -> None:
        self.num_images_used = num_images_used
        super().__init__(*args, sentence_group=1 + negatives, replace_prob=0.0, **kwargs)
        if self.test_mode:
            self.sentence_group = 1
        elif negatives and all(self.images.image_ids[i] == self.images.image_ids[0] for i in range(1, len(self))):
            raise UserError(f'{self.ann_file} has one image only: its captions have to be told from those of another')

    def load_annotations(self) -> None:
        super().load_annotations()
        number = len(self.images) if self.num_images_used is None else min(self.num_images_used, len(self.images))
        self.item_images = np.arange(number)[:, None]
        # Of an item, which is an image here: its captions.
        self.item_first, self.item_length = self.caption_start[:number], self.caption_count[:number]

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``sentences`` (S captions, the first is the image's), their ``sentence_rows`` and ``itm_labels`` (S,) int64.

        Also ``image_index``, the row of the image in a matrix of scores.
        """
        start, count = self.item_first[index], self.item_length[index]
        rows = [start if self.test_mode else start + rng.integers(count)]
        rows += [self._wrong_caption(index, rows[0], rng) for _ in range(1, self.sentence_group)]
        return dict(
            sentences=[self.captions[row] for row in rows],
            sentence_rows=rows,
            itm_labels=np.eye(1, len(rows), dtype=np.int64)[0],
            sentence_mask=np.ones(len(rows), bool),
            image_index=np.int64(index),
        )

    def _wrong_caption(self, index: int, own: int, rng: np.random.Generator) -> int:
        row = self._caption_of_another(index, rng)
        for _ in range(10):  # short captions such as "a red star" are written of several images
            if self.captions[row] != self.captions[own]:
                break
            row = self._caption_of_another(index, rng)
        return row

    def encode_captions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All captions of the images: tokens (T, L) and attention mask (T, L), int64, and the image of each (T,).

        Raises:
            UserError: The pipeline has no tokenizer.
        """
        tokenizer: Any = self.tokenizer
        if tokenizer is None:
            raise UserError(f'the pipeline of {self.ann_file} has no Tokenize, so that its captions cannot be scored')
        owner = np.repeat(np.arange(len(self)), self.item_length)
        rows = expand(self.item_first, self.item_length)
        if self.tokens is not None:
            ids, attention = tokenizer.pad([self.tokens[row] for row in rows])
        else:
            ids, attention = tokenizer([self.captions[row] for row in rows])
        return ids, attention, owner


@FUNCTIONS.register_module()
def collate_in_batch(
    samples: Sequence[Sample], size_divisor: int = 32, canvas_sizes: CanvasSizes = None, trim_text: bool = False
) -> dict[str, torch.Tensor]:
    """Collate samples of one caption each so that every image has the captions of all: S is B, its own at its place.

    What is in the same batch thus takes the place of ``negatives``; captions of the same image in another sample
    (``image_index``), and equal captions, are masked out of ``sentence_mask``.

    Args:
        samples: See :func:`soho.datasets.collate.collate`; (1, L) tokens each, and ``image_index``.
        size_divisor: See there, as the other arguments.
        canvas_sizes: See there.
        trim_text: See there.

    Raises:
        UserError: A sample has several captions.
    """
    batch = collate(samples, size_divisor, canvas_sizes, trim_text)
    size, captions = batch['sentence_mask'].shape
    if captions != 1:
        raise UserError(
            f'collate_in_batch takes one caption an image, and these samples have {captions}: set negatives=0'
        )
    own = torch.eye(size, dtype=torch.bool)
    ids = batch['input_ids'][:, 0]
    same = (ids[:, None] == ids).all(2)
    if 'image_index' in batch:
        same |= batch['image_index'][:, None] == batch['image_index']
    for name in TOKEN_FIELDS:
        if name in batch:
            batch[name] = batch[name][:, 0].expand(size, size, -1).contiguous()
    return batch | dict(sentence_mask=own | ~same, itm_labels=own.long())
