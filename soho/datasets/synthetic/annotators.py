"""Ten people answer each question; now and then one of them sees it differently."""

import numpy as np

from .questions import Question
from .scene import pick

AGREEMENT = 0.93
ANNOTATORS = 10
# So many always give the true answer. Four are enough for the full score of the VQA metric and of the labels.
SURE = 5

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


def annotate(rng: np.random.Generator, question: Question) -> list[dict]:
    """Ten answers in the form of VQA v2's ``answers``."""
    astray = rng.random(ANNOTATORS) >= AGREEMENT
    # Where too many stray, the later ones do not.
    astray &= np.cumsum(astray) <= ANNOTATORS - SURE
    answers = []
    for number, wrong in enumerate(astray, start=1):
        answer = _other_answer(rng, question.answer) if wrong else question.answer
        draw = rng.random()
        confidence = 'maybe' if draw < (0.5 if wrong else 0.08) else 'no' if draw > 0.98 else 'yes'
        answers.append(dict(answer=answer, answer_confidence=confidence, answer_id=number))
    return answers
