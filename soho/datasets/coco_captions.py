"""Images with captions, in COCO's own format."""

from collections.abc import Collection
from typing import Any

import numpy as np

from soho.datasets.coco import CocoDataset
from soho.datasets.records import CocoCaption
from soho.datasets.storage.index import IndexBuilder, open_index, spans
from soho.datasets.storage.json_records import stream_records
from soho.errors import UserError, quote
from soho.registry import DATASETS


@DATASETS.register_module()
class CaptioningDataset(CocoDataset):
    """Images with ``sentence_group`` random captions each; in test mode the first caption.

    VirTex was published with one caption. Several share the forward pass of the
    CNN, which is most of a step; a caption repeats only after all others.

    The annotation file is COCO's ``captions_*.json``. Images are ordered by
    their first caption in it, as in the official VirTex.

    Args:
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        UserError: A caption is empty or not a string.
    """

    kind = 'coco_captions'
    column = 'caption'

    def load_annotations(self) -> None:
        self.index = open_index(self.ann_file, self.kind, self._scan)
        self.read_images()
        self.captions = self.index.texts('caption')
        self.caption_start, self.caption_count = spans(self.index['captions_end'], self.images.rows)

    def _scan(self, out: IndexBuilder) -> None:
        by_image: dict[int | str, list[str]] = {}
        for item in stream_records(self.ann_file, CocoCaption, 'annotations'):
            if not item.caption or item.caption.isspace():
                raise UserError(
                    f'{self.ann_file}: image {quote(item.image_id)} has the caption {quote(item.caption)}; '
                    'a caption is a text that is not empty'
                )
            by_image.setdefault(item.image_id, []).append(item.caption)
        captions, ends = out.texts('caption'), out.numbers('captions_end')

        def add(texts: Collection[str]) -> None:
            captions.extend(texts)
            ends.append(len(captions))

        self.add_images(out, by_image, add)

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """``sentences`` (``sentence_group`` captions, one in test mode), ``sentence_rows`` and ``image_id``."""
        first, count = self.caption_start[index], self.caption_count[index]
        if self.test_mode:
            rows = [first]
        elif self.sentence_group == 1:
            rows = [rng.integers(first, first + count)]
        else:
            rows = first + np.resize(rng.permutation(count), self.sentence_group)
        return dict(sentences=[self.captions[row] for row in rows], sentence_rows=rows, image_id=self.image_id(index))
