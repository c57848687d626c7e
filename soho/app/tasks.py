"""What a model is asked on the page, and what comes of it: one class a kind of model.

A new kind is a subclass here and its line in ``TASKS``, where it is found by the inferencer of the model.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from threading import Lock
from typing import Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from soho.apis.captioner import Captioner
from soho.apis.feature_extractor import FeatureExtractor
from soho.apis.inferencer import Inferencer
from soho.apis.retriever import Retriever
from soho.apis.statements import VisualEntailment, VisualReasoning
from soho.apis.vqa import TOP, VQA
from soho.apis.words import has_dictionary
from soho.errors import UserError
from soho.visualization.attribution import word_colors

MAX_CHARACTERS = 1000
MAX_LINES = 32
SHOWN_WORDS = 12
Results = dict[str, float]
"""Answers with their scores in [0, 1]."""


class WordShare(NamedTuple):
    """A word of the visual dictionary in a picture."""

    word: int
    share: float
    """Of the picture's cells."""
    color: str
    """Its tint in the drawing, ``#rrggbb``."""


class Task(ABC):
    """A model that any number of threads may ask; it answers one after the other.

    Args:
        model: What the checkpoint of the page is asked with.
    """

    title: ClassVar[str]
    button: ClassVar[str] = 'Ask'
    results: ClassVar[str | None] = 'Answers'
    """Heading of the results; ``None`` if there are none besides the dictionary words."""
    text: ClassVar[str | None] = None
    """What the text beside a picture is called; ``None`` if there is none."""
    lines: ClassVar[int] = 1
    """Of the text's field."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Texts about the picture that ships with soho."""
    pictures: int = 1
    """How many the model reads together."""
    explains_each: ClassVar[bool] = False
    """Whether each result has a map of its own."""

    def __init__(self, model: Any) -> None:
        self.model = model
        # explaining puts hooks into the model, which the call of another thread would run into
        self.lock = Lock()

    @property
    def explains(self) -> bool:
        """Whether a result comes with a map of where in the picture it came from."""
        return False

    @property
    def has_dictionary(self) -> bool:
        """Whether a picture's dictionary words can be shown."""
        return has_dictionary(self.model.model)

    def ask(self, pictures: Sequence[bytes], text: str = '') -> Results:
        """Results, the best first.

        Args:
            pictures: Files that :func:`soho.app.pictures.read_picture` has read.
            text: About them, as a person has typed it.

        Raises:
            UserError: The text is missing or too long.
        """
        text = self.check_text(text)
        with self.lock:
            return self.find_results(pictures, text)

    def explain(self, pictures: Sequence[bytes], text: str = '', result: str | None = None) -> Image.Image:
        """The picture under a map of what speaks for a result, by default for the first.

        Raises:
            UserError: The model does not know the result.
        """
        text = self.check_text(text)
        with self.lock:
            return self.draw_map(pictures[0], text, result)

    def find_words(self, pictures: Sequence[bytes]) -> tuple[Image.Image, list[WordShare]]:
        """The first picture, tinted by its dictionary words, and the most frequent of these."""
        with self.lock:
            found = self.model.find_words(pictures[0])
        shown = found.words[:SHOWN_WORDS]
        colors = word_colors(np.array([[entry['word'] for entry in shown]]))[0].tolist()
        shares = [
            WordShare(entry['word'], entry['share'], '#{:02x}{:02x}{:02x}'.format(*color))
            for entry, color in zip(shown, colors)
        ]
        return found.picture, shares

    def check_text(self, text: str) -> str:
        """The text, without spaces around it."""
        if self.text is None:
            return ''
        text = text.strip() if isinstance(text, str) else ''
        if not text:
            raise UserError(f'{self.text} is empty: type something about the picture.')
        if len(text) > MAX_CHARACTERS:
            raise UserError(f'{self.text} has {len(text)} characters, and may have {MAX_CHARACTERS} at most.')
        return text

    @abstractmethod
    def find_results(self, pictures: Sequence[bytes], text: str) -> Results:
        """What :meth:`ask` returns; no other thread asks the model meanwhile."""

    def draw_map(self, picture: bytes, text: str, result: str | None) -> Image.Image:
        """What :meth:`explain` returns."""
        raise UserError(f'{self.model.source} has no map of where a result came from.')


class VQATask(Task):
    """Questions about a picture."""

    title = 'Ask about a picture'
    text = 'Question'
    examples = (
        'What color is the circle?',
        'What is behind the ring?',
        'How many circles are there?',
        'Is there a star?',
    )
    explains_each = True

    @property
    def explains(self) -> bool:
        return self.model.model.neck is not None  # some models answer without the picture

    def find_results(self, pictures: Sequence[bytes], text: str) -> Results:
        return {found['answer']: found['score'] for found in self.model(pictures[0], text, top_k=TOP)}

    def draw_map(self, picture: bytes, text: str, result: str | None) -> Image.Image:
        return self.model.explain(picture, text, result).draw()


class EntailmentTask(VQATask):
    """Whether a sentence follows from a picture."""

    title = 'Does it follow from the picture?'
    text = 'Sentence'
    examples = ('A blue circle lies on grass.', 'There is no circle.', 'The ring belongs to somebody.')


class ReasoningTask(VQATask):
    """Whether a statement is true of one picture or of two together."""

    title = 'Is it true?'
    text = 'Statement'
    examples = ('There is a blue circle.', 'There are two shapes.', 'There is a star.')

    def __init__(self, model: VisualReasoning) -> None:
        super().__init__(model)
        self.pictures = model.head.num_images

    @property
    def explains(self) -> bool:
        return super().explains and self.pictures == 1

    @property
    def has_dictionary(self) -> bool:
        return super().has_dictionary and self.pictures == 1

    def find_results(self, pictures: Sequence[bytes], text: str) -> Results:
        return {found['answer']: found['score'] for found in self.model(list(pictures), text)}


class CaptioningTask(Task):
    """Sentences about a picture."""

    title = 'Caption a picture'
    button = 'Write a caption'
    results = 'Caption'
    explains = True

    def find_results(self, pictures: Sequence[bytes], text: str) -> Results:
        found = self.model(pictures[0])
        return {found['caption'] or '(nothing)': found['score']}

    def draw_map(self, picture: bytes, text: str, result: str | None) -> Image.Image:
        return self.model.explain(picture).draw()


class RetrievalTask(Task):
    """Which of several sentences fits a picture."""

    title = 'Which sentence fits?'
    button = 'Compare'
    results = 'Sentences'
    text = 'Sentences, one a line'
    lines = 4
    examples = ('A blue circle on grass.\nA red star on sand.\nThree squares in water.',)

    def find_results(self, pictures: Sequence[bytes], text: str) -> Results:
        sentences = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
        if len(sentences) > MAX_LINES:
            raise UserError(f'There are {len(sentences)} sentences, and {MAX_LINES} are compared at most.')
        scores = self.model.score(pictures, sentences)[0]
        # the model was trained with a softmax over sentences
        shares = np.exp(scores - scores.max())
        found = zip(sentences, (shares / shares.sum()).tolist())
        return dict(sorted(found, key=lambda pair: -pair[1]))


class DictionaryTask(Task):
    """The words of the visual dictionary that a pretrained model finds in a picture."""

    title = 'How a picture is read'
    button = 'Find the words'
    results = None

    def find_results(self, pictures: Sequence[bytes], text: str) -> Results:
        return {}


TASKS: dict[type[Inferencer], type[Task]] = {
    VQA: VQATask,
    VisualEntailment: EntailmentTask,
    VisualReasoning: ReasoningTask,
    Captioner: CaptioningTask,
    Retriever: RetrievalTask,
    FeatureExtractor: DictionaryTask,
}


def find_task(model: Inferencer) -> Task:
    """The task of a model.

    Raises:
        UserError: It gives nothing that a page can show.
    """
    kind = TASKS.get(type(model))
    if kind is None:
        raise UserError(f'{model.source} is asked by {type(model).__name__}, for which the page has no task')
    if kind is DictionaryTask and not has_dictionary(model.model):
        raise UserError(
            f'{model.source} gives features, which a page cannot show: `soho app` is for models that answer, compare '
            'or write sentences, or have a visual dictionary (--config names the config of a checkpoint without)'
        )
    return kind(model)
