"""Questions about pictures."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from soho.apis.explanation import Explanation
from soho.apis.images import ImageInput, for_images, is_collection
from soho.apis.inferencer import Inferencer, Prediction, Query
from soho.errors import UserError, count_of, quote, write_option
from soho.models.heads.classification import ClassificationHead
from soho.models.soho import SOHO
from soho.registry import INFERENCERS
from soho.visualization.attribution import explain_answer

TOP = 5  # answers


@INFERENCERS.register_module()
class VQA(Inferencer):
    """Answers to questions about pictures.

    ``VQA('best.pth')('a.jpg', 'how many?')`` returns ``[{'answer': '2', 'score': 0.93}, ...]``, best first.
    """

    command: ClassVar[str] = 'ask'
    datasets: ClassVar[tuple[str, ...]] = ('VQADataset',)
    text_transforms: ClassVar[tuple[str, ...]] = ('Tokenize',)
    packed: ClassVar[tuple[str, ...]] = ('question_id',)

    def prepare_task(self) -> None:
        heads = [head for head in self.model.heads.values() if isinstance(head, ClassificationHead)]
        if len(heads) != 1 or not isinstance(self.model, SOHO):
            raise UserError(f'{self.source} has {len(heads)} heads that answer; VQA asks a SOHO model with one')
        (self.head,) = heads
        names = self.spec.class_names
        if len(names) != self.head.num_classes:
            raise UserError(
                f'{self.source} chooses among {self.head.num_classes} answers and has the names of {len(names)}: give '
                f'them, {write_option("class_names", "val_data_vqa.json")}'
            )

    def __call__(
        self,
        images: Any,
        questions: str | Sequence[str],
        top_k: int = TOP,
        batch_size: int | None = None,
        on_error: str | None = None,
    ) -> Any:
        """Answers with their scores, the best first.

        Args:
            images: One picture (see :func:`soho.apis.images.image_entries`), a list, or a folder or zip of them.
            questions: One, or a list: with one picture all are asked about it, with a list of as many pictures each
                about its own.
            top_k: Answers of a question.
            batch_size: Pictures of a batch.
            on_error: ``'raise'`` or ``'skip'`` pictures that cannot be read, see
                :func:`soho.apis.images.for_images`.

        Returns:
            ``[{'answer', 'score'}, ...]`` for one picture and one question, a list of these for several pictures or
            questions, and for a folder a dict by file name. A score is a probability; with soft labels each
            answer's own.

        Raises:
            soho.datasets.storage.image_store.ImageError: A picture is missing or damaged.
            UserError: The questions are no texts, or not as many as pictures.
        """
        check_texts(questions, 'questions')
        asked = [questions] if isinstance(questions, str) else list(questions)
        single = not (isinstance(images, (list, tuple)) or is_collection(images))
        if single and not isinstance(questions, str):  # the picture goes through the CNN once
            rows = next(self.predict([self.query(images, asked)])) if asked else ()
            return [self.best(scores, top_k) for scores in rows]

        def answer(several: list[ImageInput], return_errors: bool) -> Iterator[Any]:
            own = asked * len(several) if isinstance(questions, str) else asked
            if len(own) != len(several):
                given = f'{count_of(len(several), "image")} and {count_of(len(own), "question")}'
                raise UserError(f'{given}: give one question, or one an image')
            queries = [self.query(image, [question]) for image, question in zip(several, own)]
            for scores in self.predict(queries, batch_size, return_errors):
                yield scores if isinstance(scores, Exception) else self.best(scores[0], top_k)

        return for_images(images, answer, on_error)

    def query(self, image: ImageInput, questions: Sequence[str]) -> Query:
        """Questions about one picture, which goes through the CNN once.

        Raises:
            UserError: A question is empty.
        """
        for question in questions:
            if not isinstance(question, str) or not question.strip():
                raise UserError(f'a question is a text that is not empty, and this one is {quote(question)}')
        # Rounded up, so that pictures with nearly as many questions share a batch.
        size = 1 << (len(questions) - 1).bit_length()
        annotation = dict(
            sentences=[*questions] + [''] * (size - len(questions)),
            sentence_mask=np.arange(size) < len(questions),
            question_id=np.arange(size),
        )
        return Query([image], annotation, len(questions))

    def read_prediction(self, prediction: Prediction, queries: Sequence[Query]) -> list[np.ndarray]:
        """(S, A) float32 probabilities of the answers to each query's S questions."""
        scores = self.head.probabilities(prediction['logits']).cpu()
        return [part.numpy() for part in scores.split([query.rows for query in queries])]

    def best(self, scores: np.ndarray, top_k: int = TOP) -> list[dict[str, Any]]:
        """The ``top_k`` most probable answers, of the probabilities (A,) of all."""
        order = np.argsort(-scores, kind='stable')[:top_k]
        return [dict(answer=self.spec.class_names[label], score=float(scores[label])) for label in order]

    def explain(
        self, image: ImageInput, question: str, answer: str | None = None, top_k: int = TOP, words: bool = False
    ) -> Explanation:
        """Where in the picture an answer came from, by the gradient of its logit.

        Args:
            image: One picture.
            question: One question.
            answer: The answer to explain; by default the most probable.
            top_k: Answers of the result.
            words: Find the words of the visual dictionary in the picture as well.

        Raises:
            UserError: The model does not know the answer, does not look at pictures, or has no dictionary.
        """
        found = self.find_words(image) if words else None
        label = None
        if answer is not None:
            if answer not in self.spec.class_names:
                raise UserError(f'{self.source} does not know the answer {answer!r}')
            label = self.spec.class_names.index(answer)
        sample = self.prepare(self.query(image, [question]))
        assert isinstance(self.model, SOHO)
        logits, heat = explain_answer(self.model, self.collate([sample]), self.head, label)
        scores = self.head.probabilities(logits[None])[0].numpy()
        return Explanation(self.best(scores, top_k), sample['image'], heat, found)


def check_texts(texts: Any, name: str) -> None:
    """Raise ``UserError`` where a call is given neither a text nor several."""
    if not isinstance(texts, Iterable) or isinstance(texts, bytes):
        raise UserError(f'{name} are a text or a list of texts, and this is {quote(texts)}')
