"""Simulated annotators: ten answers to each question, some of them wrong or in other words."""

import numpy as np

from .questions import Question
from .scene import pick

AGREEMENT = 0.93
ANNOTATORS = 10
# At least so many give the true answer; four are enough for the full score of the VQA metric and of the labels.
MIN_CORRECT = 5

_CONFUSED = {
    'red': ('orange', 'purple', 'pink'),
    'orange': ('red', 'yellow', 'brown'),
    'yellow': ('orange', 'gold'),
    'green': ('blue', 'dark green'),
    'blue': ('purple', 'dark blue'),
    'purple': ('blue', 'pink', 'violet'),
    'black': ('gray', 'dark gray'),
    'white': ('gray', 'silver'),
    'circle': ('disc', 'ring', 'round'),
    'square': ('box', 'rectangle'),
    'triangle': ('arrow', 'cone'),
    'star': ('asterisk',),
    'heart': ('love',),
    'ring': ('circle', 'donut', 'hoop'),
    'plain': ('solid', 'no pattern'),
    'striped': ('stripes', 'lines'),
    'dotted': ('dots', 'polka dots'),
    'checkered': ('checks', 'squares'),
    'large': ('big', 'small'),
    'small': ('little', 'large'),
    'left': ('middle', 'left side'),
    'right': ('middle', 'right side'),
    'top': ('middle', 'up'),
    'bottom': ('middle', 'down'),
    'middle': ('center',),
    'grass': ('lawn', 'field'),
    'sand': ('beach', 'desert'),
    'water': ('sea', 'ocean'),
    'sky': ('clouds', 'water'),
    'brick': ('wall', 'bricks'),
    'wood': ('floor', 'table'),
    'tiles': ('floor', 'stone'),
    'snow': ('ice', 'sky'),
    'yes': ('no',),
    'no': ('yes',),
}


def _other_answer(rng: np.random.Generator, answer: str) -> str:
    if answer.isdigit():
        return str(max(0, int(answer) + pick(rng, (-1, 1))) if answer != '0' else 1)
    return pick(rng, _CONFUSED[answer])


def sample_answers(rng: np.random.Generator, question: Question) -> list[dict]:
    """Return ten answers in the form of VQA v2's ``answers``."""
    wrong = rng.random(ANNOTATORS) >= AGREEMENT
    # Beyond the largest number of wrong answers, the later annotators are right.
    wrong &= np.cumsum(wrong) <= ANNOTATORS - MIN_CORRECT
    answers = []
    for number, is_wrong in enumerate(wrong, start=1):
        answer = _other_answer(rng, question.answer) if is_wrong else question.answer
        draw = rng.random()
        confidence = 'maybe' if draw < (0.5 if is_wrong else 0.08) else 'no' if draw > 0.98 else 'yes'
        answers.append(dict(answer=answer, answer_confidence=confidence, answer_id=number))
    return answers
