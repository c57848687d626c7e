"""Statements about pictures: whether one follows from a picture, or is true of a pair of them."""

from collections.abc import Sequence
from typing import Any, ClassVar

from soho.apis.explanation import Explanation
from soho.apis.images import ImageInput
from soho.apis.inferencer import Query
from soho.apis.vqa import VQA, check_texts
from soho.errors import UserError
from soho.registry import INFERENCERS


@INFERENCERS.register_module()
class VisualEntailment(VQA):
    """Whether a sentence follows from a picture, contradicts it, or neither (SNLI-VE).

    ``VisualEntailment('best.pth')('a.jpg', 'A dog runs.')`` returns ``[{'answer': 'entailment', 'score': 0.9}, ...]``;
    arguments are those of :class:`soho.VQA`.
    """

    command: ClassVar[str] = 'app'
    datasets: ClassVar[tuple[str, ...]] = ('SNLIVEDataset',)


@INFERENCERS.register_module()
class VisualReasoning(VQA):
    """Whether a statement is true of a picture (NLVR) or of a pair of pictures (NLVR2).

    ``VisualReasoning('best.pth')(['left.jpg', 'right.jpg'], 'There are three dogs.')`` returns
    ``[{'answer': 'True', 'score': 0.9}, {'answer': 'False', 'score': 0.1}]``.
    """

    command: ClassVar[str] = 'app'
    datasets: ClassVar[tuple[str, ...]] = ('NLVRDataset', 'NLVR2Dataset')

    def __call__(self, images: Any, statements: str | Sequence[str], top_k: int = 2) -> Any:
        """Answers ``True`` and ``False`` with their scores, the more probable first.

        Args:
            images: As many pictures as the model reads together, one or a list of two.
            statements: One, or a list, all about these pictures.
            top_k: Answers of a statement.

        Raises:
            soho.datasets.storage.image_store.ImageError: A picture is missing or damaged.
            UserError: The model reads another number of pictures; the statements are no texts.
        """
        check_texts(statements, 'statements')
        together = list(images) if isinstance(images, (list, tuple)) else [images]
        asked = [statements] if isinstance(statements, str) else list(statements)
        (rows,) = self.predict([self.query(together, asked)]) if asked else ((),)
        answers = [self.best(scores, top_k) for scores in rows]
        return answers[0] if isinstance(statements, str) else answers

    def query(self, image: Any, questions: Sequence[str]) -> Query:
        """Statements about the pictures that the model reads together."""
        images = list(image) if isinstance(image, (list, tuple)) else [image]
        if len(images) != self.head.num_images:
            raise UserError(
                f'{self.source} reads {self.head.num_images} pictures together, and {len(images)} are given'
            )
        return super().query(images[0], questions)._replace(images=images)

    def explain(
        self, image: ImageInput, question: str, answer: str | None = None, top_k: int = 2, words: bool = False
    ) -> Explanation:
        if self.head.num_images > 1:
            raise UserError(f'{self.source} reads {self.head.num_images} pictures together, and a map is of one')
        return super().explain(image, question, answer, top_k, words)
