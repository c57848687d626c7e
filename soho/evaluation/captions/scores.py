"""BLEU, ROUGE-L and CIDEr-D of tokenised captions, equal to the official COCO caption evaluation.

Official code: tylin/coco-caption. Every function takes ``hypotheses``, one
tokenised caption per image, and ``references``, the lists of captions of the
same images in the same order, and returns the score of the whole set and of
each image. Tokens are joined by spaces, as :func:`soho.evaluation.captions.tokenize`
returns them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NGram = tuple[str, ...]
ORDER = 4  # maximum n of the n-grams


class Score(NamedTuple):
    """Value of a metric for the whole set and for each image (N,), float64."""

    overall: float
    per_image: np.ndarray


def _ngrams(words: Sequence[str], n: int) -> Counter[NGram]:
    return Counter(zip(*(words[i:] for i in range(n))))


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> list[Score]:
    """BLEU-1 to BLEU-4 (Papineni et al., ACL 2002) with the closest reference length.

    As in the official code 1e-15 is added to numerators and 1e-9 to
    denominators, which is noticeable in the scores of single images.
    """
    # Matches and n-grams of the hypothesis per image and n; lengths of the hypothesis and the reference.
    matches, candidates = (np.zeros((len(hypotheses), ORDER), np.int64) for _ in range(2))
    lengths = np.zeros((len(hypotheses), 2), np.int64)
    for i, (hypothesis, texts) in enumerate(zip(hypotheses, references)):
        words, others = hypothesis.split(), [text.split() for text in texts]
        closest = min((len(other) for other in others), key=lambda n: (abs(n - len(words)), n))
        lengths[i] = len(words), closest
        for n in range(1, ORDER + 1):
            known: Counter[NGram] = Counter()
            for other in others:
                known |= _ngrams(other, n)
            matches[i, n - 1] = (_ngrams(words, n) & known).total()
            candidates[i, n - 1] = max(0, len(words) - n + 1)
    overall = _bleu(matches.sum(0, keepdims=True), candidates.sum(0, keepdims=True), lengths.sum(0, keepdims=True))[0]
    return [Score(float(value), image) for value, image in zip(overall, _bleu(matches, candidates, lengths).T)]


def _bleu(matches: np.ndarray, candidates: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(N, 4) counts and (N, 2) lengths to (N, 4) scores."""
    tiny, small = 1e-15, 1e-9
    means = np.cumprod((matches + tiny) / (candidates + small), axis=1) ** (1 / np.arange(1, ORDER + 1))
    ratio = (lengths[:, :1] + tiny) / (lengths[:, 1:] + small)
    return np.where(ratio < 1, means * np.exp(1 - 1 / ratio), means)


def rouge_l(hypotheses: Sequence[str], references: Sequence[Sequence[str]], beta: float = 1.2) -> Score:
    """ROUGE-L (Lin, 2004): longest common subsequence, best precision and best recall over the references."""
    scores = np.zeros(len(hypotheses))
    for i, (hypothesis, texts) in enumerate(zip(hypotheses, references)):
        words = hypothesis.split(' ')
        others = [text.split(' ') for text in texts]
        common = [_common_subsequence(words, other) for other in others]
        precision = max(n / len(words) for n in common)
        recall = max(n / len(other) for n, other in zip(common, others))
        if precision and recall:
            scores[i] = (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    return Score(float(scores.mean()), scores)


def _common_subsequence(a: list[str], b: list[str]) -> int:
    longest = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for j, other in enumerate(b, start=1):
            here = longest[j]
            longest[j] = diagonal + 1 if word == other else max(here, longest[j - 1])
            diagonal = here
    return longest[-1]


class _Weighted(NamedTuple):
    """Tf-idf weights of a caption for each n, their norms, and the number of its bigrams."""

    weights: list[dict[NGram, float]]
    norms: list[float]
    bigrams: int


def cider_d(hypotheses: Sequence[str], references: Sequence[Sequence[str]], sigma: float = 6.0) -> Score:
    """CIDEr-D (Vedantam et al., CVPR 2015, section 7) with the document frequencies of ``references``.

    Args:
        hypotheses: N captions.
        references: Reference captions of each.
        sigma: Standard deviation of the Gaussian penalty on length differences, in bigrams.
    """
    counted = [[_count(text) for text in texts] for texts in references]
    rarity = _Rarity(counted)
    scores = np.zeros(len(hypotheses))
    for i, (hypothesis, counts) in enumerate(zip(hypotheses, counted)):
        weighted = rarity.weigh(_count(hypothesis))
        scores[i] = 10.0 * np.mean([_similarity(weighted, rarity.weigh(other), sigma) for other in counts])
    return Score(float(scores.mean()), scores)


def best_constant(candidates: Sequence[str], references: Sequence[Sequence[str]], sigma: float = 6.0) -> int:
    """Place of the candidate whose CIDEr-D is the highest where every image gets the same caption.

    Args:
        candidates: Captions to choose from; the first of equals is chosen.
        references: Reference captions of each image, whose weights are held in memory.
        sigma: See :func:`cider_d`.
    """
    counted = [[_count(text) for text in texts] for texts in references]
    rarity = _Rarity(counted)
    weighted = [[rarity.weigh(counts) for counts in of_image] for of_image in counted]

    def score(candidate: str) -> float:
        given = rarity.weigh(_count(candidate))
        return float(np.mean([np.mean([_similarity(given, other, sigma) for other in texts]) for texts in weighted]))

    scores = [score(candidate) for candidate in candidates]
    return int(np.argmax(scores))


class _Rarity:
    """Weights of n-grams by how few images have them.

    Args:
        counted: N-grams of the reference captions of each image.
    """

    def __init__(self, counted: Sequence[Sequence[Counter[NGram]]]) -> None:
        frequency = Counter(ngram for counts in counted for ngram in set().union(*counts))
        self.documents = np.log(float(len(counted)))
        self.weights = {ngram: self.documents - np.log(count) for ngram, count in frequency.items()}

    def weigh(self, counts: Counter[NGram]) -> _Weighted:
        """The weights of a caption."""
        weights: list[dict[NGram, float]] = [{} for _ in range(ORDER)]
        for ngram, count in counts.items():
            weights[len(ngram) - 1][ngram] = count * self.weights.get(ngram, self.documents)
        norms = [sum(value * value for value in part.values()) ** 0.5 for part in weights]
        return _Weighted(weights, norms, sum(count for ngram, count in counts.items() if len(ngram) == 2))


def _count(text: str) -> Counter[NGram]:
    words = text.split()
    return sum((_ngrams(words, n) for n in range(1, ORDER + 1)), Counter())


def _similarity(hypothesis: _Weighted, reference: _Weighted, sigma: float) -> float:
    """Mean over n of the clipped cosine similarity, penalised by the difference of lengths."""
    total = 0.0
    for n in range(ORDER):
        weights = reference.weights[n]
        dot = sum(
            min(weight, weights[ngram]) * weights[ngram]
            for ngram, weight in hypothesis.weights[n].items()
            if ngram in weights
        )
        norms = hypothesis.norms[n] * reference.norms[n]
        total += dot / norms if norms else dot
    return total / ORDER * float(np.exp(-((hypothesis.bigrams - reference.bigrams) ** 2) / (2 * sigma**2)))
