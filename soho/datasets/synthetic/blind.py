"""What a reader scores who never looks at the picture: a check that answers are not given away."""

from collections import Counter, defaultdict

from .questions import Question


class BlindBaseline:
    """Answers with the most frequent training answer to the same text, or else of the same kind.

    All training questions must be learnt before the first test question.
    """

    def __init__(self) -> None:
        self._by_text: dict[str, Counter] = defaultdict(Counter)
        self._by_kind: dict[str, Counter] = defaultdict(Counter)
        self._right: Counter = Counter()
        self._asked: Counter = Counter()

    def learn(self, questions: list[Question]) -> None:
        for question in questions:
            self._by_text[question.text.lower()][question.answer] += 1
            self._by_kind[question.kind][question.answer] += 1

    def test(self, questions: list[Question]) -> None:
        for question in questions:
            seen = self._by_text.get(question.text.lower()) or self._by_kind.get(question.kind)
            guess = seen.most_common(1)[0][0] if seen else None
            self._asked[question.kind] += 1
            self._right[question.kind] += guess == question.answer

    def summary(self) -> dict:
        """Accuracy in percent over all test questions, and accuracy and share of each kind."""
        asked = sum(self._asked.values())
        return dict(
            accuracy=round(100 * sum(self._right.values()) / asked, 2),
            kinds={
                kind: dict(accuracy=round(100 * self._right[kind] / number, 2), share=round(100 * number / asked, 2))
                for kind, number in sorted(self._asked.items())
            },
        )
