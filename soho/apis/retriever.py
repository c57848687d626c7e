"""Which picture fits a sentence, and which sentence fits a picture."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from soho.apis.images import ImageInput, for_images, is_collection
from soho.apis.inferencer import Inferencer, Prediction, Query
from soho.errors import UserError, quote
from soho.models.heads.retrieval import RetrievalHead
from soho.registry import INFERENCERS

TOGETHER = 64  # captions that an image is scored with in one pass


@INFERENCERS.register_module()
class Retriever(Inferencer):
    """Ranking of pictures by a caption, and of captions by a picture.

    ``Retriever('best.pth')('photos', 'a dog on a lawn')`` returns ``[{'image': 'b.jpg', 'score': 4.2}, ...]``, best
    first. A score is the logit of a match: only the order and differences mean something.
    """

    datasets: ClassVar[tuple[str, ...]] = ('RetrievalDataset',)
    text_transforms: ClassVar[tuple[str, ...]] = ('Tokenize',)

    def prepare_task(self) -> None:
        heads = [head for head in self.model.heads.values() if isinstance(head, RetrievalHead)]
        if len(heads) != 1:
            raise UserError(f'{self.source} has {len(heads)} heads that score pairs; Retriever asks a model with one')

    def __call__(
        self, images: Any, captions: str | Sequence[str], top_k: int = 10, on_error: str | None = None
    ) -> list[dict[str, Any]]:
        """The best of several pictures for a caption, or the best of several captions for a picture.

        Args:
            images: With one caption a list, folder or zip of pictures; with several captions one picture.
            captions: One caption, or a list.
            top_k: Results.
            on_error: ``'raise'`` or ``'skip'`` pictures that cannot be read, see
                :func:`soho.apis.images.for_images`.

        Returns:
            ``{'image', 'score'}``, the file name or the place in the list, or ``{'caption', 'score'}``; best first.

        Raises:
            soho.datasets.storage.image_store.ImageError: A picture is missing or damaged.
            UserError: Neither one picture nor one caption; :meth:`score` compares all with all.
        """
        several = is_collection(images) or isinstance(images, (list, tuple))
        if several == (not isinstance(captions, str)):
            raise UserError('give several images and one caption, or one image and a list of captions')
        if not several:
            scores = self.score([images], captions)[0]
            return [dict(caption=captions[i], score=float(scores[i])) for i in _best(scores, top_k)]
        _check_captions([str(captions)])

        def compare(pictures: list[ImageInput], return_errors: bool) -> Iterator[Any]:
            return self.predict((self.query(image, [str(captions)]) for image in pictures), None, return_errors)

        found = for_images(images, compare, on_error)
        named = found.items() if isinstance(found, dict) else enumerate(found)
        names, rows = zip(*((name, row) for name, row in named if row is not None))
        scores = np.concatenate(rows)
        return [dict(image=names[i], score=float(scores[i])) for i in _best(scores, top_k)]

    def score(self, images: Sequence[ImageInput], captions: Sequence[str]) -> np.ndarray:
        """(N, S) float32 scores of all pictures with all captions."""
        _check_captions(captions)
        parts = [captions[first : first + TOGETHER] for first in range(0, len(captions), TOGETHER)]
        columns = [np.stack(list(self.predict(self.query(image, part) for image in images))) for part in parts]
        return np.concatenate(columns, axis=1)

    def query(self, image: ImageInput, captions: Sequence[str]) -> Query:
        """One picture with captions."""
        annotation = dict(sentences=[*captions], sentence_mask=np.ones(len(captions), bool))
        return Query([image], annotation, len(captions))

    def read_prediction(self, prediction: Prediction, queries: Sequence[Query]) -> list[np.ndarray]:
        """(S,) float32 scores of each picture's captions."""
        scores = prediction['match_score'].cpu()
        return [part.numpy() for part in scores.split([query.rows for query in queries])]


def _check_captions(captions: Sequence[Any]) -> None:
    for caption in captions:
        if not isinstance(caption, str) or not caption.strip():
            raise UserError(f'a caption is a text that is not empty, and this one is {quote(caption)}')


def _best(scores: np.ndarray, top_k: int) -> list[int]:
    return np.argsort(-scores, kind='stable')[:top_k].tolist()
