"""Blind baseline: accuracy without the picture, as a check that question texts do not give answers away."""

from collections import Counter, defaultdict

from .questions import Question


class BlindBaseline:
    """Most frequent training answer to the same question text, or else to the same kind of question.

    Call :meth:`fit` on all training questions before :meth:`evaluate`.
    """

    def __init__(self) -> None:
        self._by_text: dict[str, Counter] = defaultdict(Counter)
        self._by_kind: dict[str, Counter] = defaultdict(Counter)
        self._correct: Counter = Counter()
        self._total: Counter = Counter()

    def fit(self, questions: list[Question]) -> None:
        """Count the answers of training questions."""
        for question in questions:
            self._by_text[question.text.lower()][question.answer] += 1
            self._by_kind[question.kind][question.answer] += 1

    def evaluate(self, questions: list[Question]) -> None:
        """Answer test questions and count the correct answers."""
        for question in questions:
            seen = self._by_text.get(question.text.lower()) or self._by_kind.get(question.kind)
            guess = seen.most_common(1)[0][0] if seen else None
            self._total[question.kind] += 1
            self._correct[question.kind] += guess == question.answer

    def summary(self) -> dict:
        """Return the accuracy over all test questions, and accuracy and share of each kind, in percent."""
        total = sum(self._total.values())
        return dict(
            accuracy=round(100 * sum(self._correct.values()) / total, 2),
            kinds={
                kind: dict(accuracy=round(100 * self._correct[kind] / number, 2), share=round(100 * number / total, 2))
                for kind, number in sorted(self._total.items())
            },
        )
