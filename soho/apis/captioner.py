"""Captions of pictures."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from soho.apis.explanation import Explanation
from soho.apis.images import ImageInput, for_images
from soho.apis.inferencer import Inferencer, Prediction, Query
from soho.datasets.tokenizer import SentencePieceTokenizer
from soho.engine.checkpoint.vocabulary import tokenizer_argument
from soho.errors import UserError, write_option
from soho.models.heads.captioning import CaptioningHead
from soho.models.virtex import VirTex
from soho.registry import INFERENCERS
from soho.visualization.attribution import explain_caption


@INFERENCERS.register_module()
class Captioner(Inferencer):
    """Captions of pictures.

    ``Captioner('best.pth')('a.jpg')`` returns ``{'caption': 'a dog on a lawn', 'score': 0.6}``.
    """

    command: ClassVar[str] = 'caption'
    datasets: ClassVar[tuple[str, ...]] = ('CaptioningDataset',)
    packed: ClassVar[tuple[str, ...]] = ('image_id',)

    def prepare_task(self) -> None:
        heads = [head for head in self.model.heads.values() if isinstance(head, CaptioningHead)]
        if len(heads) != 1 or not isinstance(self.model, VirTex):
            raise UserError(f'{self.source} has {len(heads)} heads that write captions; Captioner asks one with one')
        (self.head,) = heads
        self.tokenizer = self._build_tokenizer()

    def __call__(self, images: Any, batch_size: int | None = None, on_error: str | None = None) -> Any:
        """Captions with their scores.

        Args:
            images: One picture (see :func:`soho.apis.images.image_entries`), a list, or a folder or zip of them.
            batch_size: Pictures of a batch.
            on_error: ``'raise'`` or ``'skip'`` pictures that cannot be read, see
                :func:`soho.apis.images.for_images`.

        Returns:
            ``{'caption', 'score'}`` for one picture, a list of these for several, and for a folder a dict by file name.
            A score is the geometric mean of the probabilities of the caption's tokens, in [0, 1].

        Raises:
            soho.datasets.storage.image_store.ImageError: A picture is missing or damaged.
        """

        def describe(several: list[ImageInput], return_errors: bool) -> Iterator[Any]:
            return self.predict(map(self.query, several), batch_size, return_errors)

        return for_images(images, describe, on_error)

    def query(self, image: ImageInput) -> Query:
        """One picture."""
        return Query([image], dict(image_id=np.int64(0)))

    def read_prediction(self, prediction: Prediction, queries: Sequence[Query]) -> list[dict[str, Any]]:
        """Caption and score of each picture."""
        results = []
        for tokens, logprob in zip(prediction['tokens'].tolist(), prediction['logprobs'].tolist()):
            length = len(self._whole(tokens)) - 1
            results.append(dict(caption=self.tokenizer.decode(tokens), score=float(np.exp(logprob / max(length, 1)))))
        return results

    def explain(self, image: ImageInput, words: bool = False) -> Explanation:
        """Where in the picture its caption came from, by the gradient of the caption's probability.

        Args:
            image: One picture.
            words: Find the words of the visual dictionary in the picture as well.

        Raises:
            UserError: The model has no dictionary.
        """
        found = self.find_words(image) if words else None
        sample = self.prepare(self.query(image))
        prediction = self.forward([sample])
        (result,) = self.read_prediction(prediction, [self.query(image)])
        tokens = self._whole(prediction['tokens'][0].tolist())
        assert isinstance(self.model, VirTex)
        heat = explain_caption(self.model, self.collate([sample]), tokens)
        return Explanation(result, sample['image'], heat, found)

    def _whole(self, tokens: list[int]) -> list[int]:
        """[SOS] and the tokens up to the first [EOS], that included."""
        end = self.head.decoder.eos_id
        return [self.head.sos_id, *(tokens[: tokens.index(end) + 1] if end in tokens else tokens)]

    def _build_tokenizer(self) -> SentencePieceTokenizer:
        options = next((step['tokenizer'] for step in self.spec.pipeline if step.get('tokenizer')), None)
        if options is None:
            raise UserError(f'the pipeline of {self.source} has no tokenizer, so tokens cannot be read as words')
        vocab = tokenizer_argument(self.spec.vocabulary, self.source)
        options = dict(options) if vocab is None else dict(options, vocab=vocab)
        try:
            return SentencePieceTokenizer(**options)
        except FileNotFoundError as error:
            raise UserError(
                f'{self.source} does not hold its vocabulary, and {options["vocab"]} is not here: give it, '
                f'{write_option("vocabulary", "captions.model")}'
            ) from error
