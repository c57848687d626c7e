"""Images with captions for pretraining, in the official annotation format."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from soho.datasets.base import ImageTextDataset, group_sentences
from soho.datasets.image_table import ImageTable
from soho.datasets.records import CaptionedImage
from soho.datasets.storage.index import IndexBuilder, open_index, spans
from soho.datasets.storage.json_records import stream_records
from soho.errors import UserError, clip, quote
from soho.registry import DATASETS


@DATASETS.register_module()
class PretrainDataset(ImageTextDataset):
    """Images with groups of ``sentence_group`` captions, for SOHO's pretraining.

    The annotation file is a list of ``{file_name, image_id, height, width,
    captions: [str, ...]}`` (official ``*_cap_*_pre.json``; its ``labels`` are
    not used). An image with more captions than a group holds gives several
    samples; the last group is filled with captions of the same image, sampled
    again in every epoch.

    Args:
        replace_prob: Probability that a caption is replaced by another
            image's, for image-text matching.
        replace_by_first: Known bug of the release: the replacement is always
            the first caption of the sampled item; by default any of them.
        fill_seed: Official behaviour: groups are filled once, from Python's
            random generator, and the result is kept in a pickle file next to
            the annotation. An integer seeds the same choices, without a file;
            by default they are sampled again in every epoch.
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        UserError: An image has no caption, or an empty one.
    """

    kind = 'captions'
    column = 'caption'

    def __init__(
        self,
        *args,
        sentence_group: int = 4,
        replace_prob: float = 0.5,
        replace_by_first: bool = False,
        fill_seed: int | None = None,
        **kwargs,
    ) -> None:
        self.replace_prob = replace_prob
        self.fill_seed = fill_seed
        self.replace_by_first = replace_by_first
        super().__init__(*args, sentence_group=sentence_group, **kwargs)
        ids = self.images.image_ids
        if replace_prob > 0 and not self.test_mode and all(ids[i] == ids[0] for i in range(1, len(ids))):
            raise UserError(
                f'{self.ann_file} has one image only: image-text matching (replace_prob > 0) needs captions of another'
            )

    def load_annotations(self) -> None:
        self.index = open_index(self.ann_file, self.kind, self._scan)
        self.images = ImageTable.of(self.index, self.min_side)
        self.captions = self.index.texts('caption')
        self.caption_start, self.caption_count = spans(self.index['captions_end'], self.images.rows)
        images, self.item_first, self.item_length = group_sentences(
            self.caption_count, self.sentence_group, self.caption_start
        )
        self.item_images = images[:, None]
        if self.fill_seed is not None:
            self.fill = official_fill(self.caption_count.tolist(), self.sentence_group, self.fill_seed)

    def _scan(self, out: IndexBuilder) -> None:
        captions, ends = out.texts('caption'), out.numbers('captions_end')
        for record in stream_records(self.ann_file, CaptionedImage):
            if not record.captions:
                raise UserError(f'{self.ann_file}: image {clip(record.file_name)} has no caption')
            if not all(map(str.strip, record.captions)):
                empty = next(caption for caption in record.captions if not caption.strip())
                raise UserError(
                    f'{self.ann_file}: image {clip(record.file_name)} has the caption {quote(empty)}; '
                    'a caption is a text that is not empty'
                )
            captions.extend(record.captions)
            out.image(record)
            ends.append(len(captions))

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``sentences`` (S captions), their ``sentence_rows``, and ``itm_labels`` (S,) int64, 1 matched, 0 replaced."""
        image, first, length = self.item_images[index, 0], self.item_first[index], self.item_length[index]
        rows = [first + i for i in range(length)]
        start, count = self.caption_start[image], self.caption_count[image]
        missing = self.sentence_group - length
        filling = rng.integers(count, size=missing) if self.fill_seed is None else self.fill[image][:missing]
        rows += [start + i for i in filling]
        matched = np.ones(self.sentence_group, np.int64)
        if not self.test_mode:
            matched[rng.random(self.sentence_group) < self.replace_prob] = 0
            for i in np.flatnonzero(matched == 0):
                rows[i] = self._caption_of_another(image, rng)
        return dict(
            sentences=[self.captions[row] for row in rows],
            sentence_rows=rows,
            itm_labels=matched,
            sentence_mask=np.ones(self.sentence_group, bool),
        )

    def _caption_of_another(self, image: int, rng: np.random.Generator) -> int:
        image_id = self.images.image_ids[image]
        while True:
            item = rng.integers(len(self))
            other = self.item_images[item, 0]
            if self.images.image_ids[other] != image_id:
                nth = 0 if self.replace_by_first else rng.integers(self.item_length[item])
                return self.item_first[item] + nth


def official_fill(counts: Sequence[int], size: int, seed: int) -> list[list[int]]:
    """Captions that fill the last group of each image, sampled as by the official code.

    Official file: SOHO/datasets/VisualLanguagePretrain.py (``_process_train_data``).

    Args:
        counts: Number of captions of each image.
        size: Sentences per group.
        seed: Seed of Python's generator, whose stream continues over all images.

    Returns:
        Indices of ``-count % size`` captions for each image.
    """
    generator = random.Random(seed)
    fill = []
    for count in counts:
        order, missing = list(range(count)), -count % size
        if missing <= count:
            generator.shuffle(order)
            fill.append(order[:missing])
            continue
        chosen = []
        for _ in range(missing):
            generator.shuffle(order)
            chosen.append(order[0])
        fill.append(chosen)
    return fill
