"""What is said and asked is true: texts are read back here, by rules of their own, and recounted."""

import re
from collections import Counter

import numpy as np
import pytest

from soho.datasets.synthetic.annotators import sample_answers
from soho.datasets.synthetic.blind import BlindBaseline
from soho.datasets.synthetic.language import make_captions, make_regions
from soho.datasets.synthetic.questions import MAKERS, Question, make_questions
from soho.datasets.synthetic.scene import sample_scene
from soho.evaluation.vqa_normalization import clean_answer, normalize_answer

MEANING = {
    'disc': ('shape', 'circle'),
    'box': ('shape', 'square'),
    'hoop': ('shape', 'ring'),
    'big': ('size', 'large'),
    'huge': ('size', 'large'),
    'little': ('size', 'small'),
    'tiny': ('size', 'small'),
    'solid': ('texture', 'plain'),
    'stripy': ('texture', 'striped'),
    'stripe': ('texture', 'striped'),
    'spotted': ('texture', 'dotted'),
    'spot': ('texture', 'dotted'),
    'dot': ('texture', 'dotted'),
    'checked': ('texture', 'checkered'),
    'check': ('texture', 'checkered'),
    **{word: ('shape', word) for word in 'circle square triangle star heart ring'.split()},
    **{word: ('color', word) for word in 'red orange yellow green blue purple black white'.split()},
    **{word: ('size', word) for word in ('large', 'small')},
    **{word: ('texture', word) for word in 'plain striped dotted checkered'.split()},
}
NUMBERS = {'one': 1, 'two': 2, 'three': 3, 'four': 4, 'five': 5, 'six': 6, 'seven': 7}
ASIDE = {
    'left of': (0, -1),
    'right of': (0, 1),
    'above': (1, -1),
    'higher than': (1, -1),
    'below': (1, 1),
    'under': (1, 1),
    'lower than': (1, 1),
}
RELATION = re.compile(r'(?:to the )?(' + '|'.join(ASIDE) + ')')
COMPARISON = r'(?:are there|there are) (more|fewer|as many) (.*?) (?:than|as) (.*)'
COUNT = re.compile(
    r'(?:there (?:is|are)|you can see) (\d|' + '|'.join(NUMBERS) + r') ([a-z ]+?)'
    r'(?: (?:on|in|up|against|floating)\b.*)?(?: and .*)?$'
)
EXTREMES = {
    'leftmost': (0, -1),
    'rightmost': (0, 1),
    'highest': (1, -1),
    'topmost': (1, -1),
    'uppermost': (1, -1),
    'lowest': (1, 1),
    'bottommost': (1, 1),
}

SCENES = {
    split: [sample_scene(0, split, index) for index in range(number)]
    for split, number in (('train2014', 1200), ('test2015', 500))
}
QUESTIONS = {
    split: [(scene, question) for scene in scenes for question in make_questions(0, scene)]
    for split, scenes in SCENES.items()
}


def attributes(phrase):
    """The attributes that a phrase names."""
    found = {}
    for word in re.findall(r'[a-z]+', phrase.lower()):
        for form in {word, word.removesuffix('s'), word.removesuffix('es')} & set(MEANING):
            found.setdefault(*MEANING[form])
    return found


def find(scene, phrase):
    wanted = attributes(phrase)
    return [obj for obj in scene.objects if all(getattr(obj, k) == v for k, v in wanted.items())]


def the_one(scene, phrase):
    found = find(scene, phrase)
    assert len(found) == 1, phrase
    return found[0]


def beyond(scene, aside, reference):
    """The objects on one side of another, by their centres."""
    axis, sign = ASIDE[aside]
    return [obj for obj in scene.objects if sign * (obj.center[axis] - reference.center[axis]) > 0]


def answer(scene, question):
    """The answer to a question, from its text alone and the scene."""
    text, kind = question.text.lower().rstrip('?'), question.kind
    relation = RELATION.search(text)
    if kind == 'count':
        return str(len(find(scene, text)))
    if kind == 'existence':
        return 'yes' if find(scene, text) else 'no'
    if kind == 'negation':
        if relation:
            return 'no' if beyond(scene, relation[1], the_one(scene, text[relation.end() :])) else 'yes'
        return 'no' if find(scene, text) else 'yes'
    if kind == 'comparison':
        word, first, second = re.fullmatch(COMPARISON, text).groups()
        a, b = len(find(scene, first)), len(find(scene, second))
        return 'yes' if {'more': a > b, 'fewer': a < b, 'as many': a == b}[word] else 'no'
    if kind == 'relation check':
        one, two = the_one(scene, text[: relation.start()]), the_one(scene, text[relation.end() :])
        return 'yes' if one in beyond(scene, relation[1], two) else 'no'
    if kind == 'relation query':
        extreme = next((word for word in EXTREMES if word in text), None)
        if extreme:
            axis, sign = EXTREMES[extreme]
            found = max(scene.objects, key=lambda obj: sign * obj.center[axis])
        else:
            (found,) = beyond(scene, relation[1], the_one(scene, text[relation.end() :]))
        return found.color if text.startswith('what color') else found.shape
    if kind == 'background':
        return scene.background
    if kind == 'position':
        obj = the_one(scene, text)
        x, y = obj.center[0] / scene.width - 0.5, obj.center[1] / scene.height - 0.5
        if max(abs(x), abs(y)) < 0.15:
            return 'middle'
        return ('left' if x < 0 else 'right') if abs(x) > abs(y) else ('top' if y < 0 else 'bottom')
    if kind == 'verification':
        *_, last = re.findall(r'[a-z]+', text)
        name, value = MEANING[last]
        subject = re.sub(rf' (an? )?{last}$', '', text)
        return 'yes' if getattr(the_one(scene, subject), name) == value else 'no'
    subject = text.replace(' large or small', '').replace('how big', '')
    return getattr(the_one(scene, subject), kind)


@pytest.mark.parametrize('kind', MAKERS)
def test_answers_are_what_a_recount_finds(kind):
    asked = [(scene, question) for scene, question in QUESTIONS['train2014'] if question.kind == kind]
    assert len(asked) > 50
    for scene, question in asked:
        assert answer(scene, question) == question.answer, question


def test_shares_of_answer_types_are_about_those_of_vqa2():
    types = Counter(question.answer_type for _, question in QUESTIONS['train2014'])
    shares = {name: number / types.total() for name, number in types.items()}
    assert shares == pytest.approx({'yes/no': 0.40, 'number': 0.15, 'other': 0.45}, abs=0.05)
    spatial = sum(question.kind.startswith('relation') for _, question in QUESTIONS['train2014'])
    assert spatial / types.total() < 0.25
    assert len(QUESTIONS['train2014']) / len(SCENES['train2014']) == pytest.approx(7.3, abs=0.5)


def test_words_alone_do_not_give_the_answer_away():
    blind = BlindBaseline()
    blind.fit([question for _, question in QUESTIONS['train2014']])
    blind.evaluate([question for _, question in QUESTIONS['test2015']])
    summary = blind.summary()
    assert summary['accuracy'] < 45
    assert all(figures['accuracy'] < 68 for figures in summary['kinds'].values())
    assert summary['kinds']['color']['accuracy'] < 25


def test_the_blind_baseline_finds_what_is_given_away():
    blind = BlindBaseline()
    blind.fit([Question('What color is it?', 'color', 'red')] * 2)
    blind.fit([Question('Which?', 'color', 'blue')] * 3)
    blind.evaluate([Question('what color is it?', 'color', 'red'), Question('Unseen?', 'color', 'blue')])
    assert blind.summary()['accuracy'] == 100


def test_ten_annotators_mostly_agree_and_leave_the_true_answer_a_full_score():
    rng = np.random.default_rng(0)
    agreeing = []
    for _, question in QUESTIONS['train2014'][:1500]:
        answers = sample_answers(rng, question)
        assert [entry['answer_id'] for entry in answers] == list(range(1, 11))
        votes = Counter(entry['answer'] for entry in answers)
        assert votes[question.answer] >= 4 and votes.most_common(1)[0][0] == question.answer
        assert {entry['answer_confidence'] for entry in answers} <= {'yes', 'maybe', 'no'}
        for given in votes:
            assert normalize_answer(given) == clean_answer(given) == given
        agreeing.append(votes[question.answer])
    assert np.mean(agreeing) == pytest.approx(9.3, abs=0.1)


def test_captions_are_five_and_different_and_their_counts_and_denials_are_true():
    checked = Counter()
    for scene in SCENES['train2014'][:400]:
        texts = make_captions(0, scene)
        assert len(set(texts)) == 5
        for clause in re.split(r'[.;]|, and ', '. '.join(texts).lower()):
            if denial := re.search(r'there (?:is|are) no (.*)', clause):
                assert not find(scene, denial[1]), clause
                checked['denial'] += 1
            if comparison := re.search(COMPARISON, clause):
                a, b = len(find(scene, comparison[2])), len(find(scene, comparison[3]))
                assert {'more': a > b, 'fewer': a < b, 'as many': a == b}[comparison[1]], clause
                checked['comparison'] += 1
            if count := COUNT.search(clause):
                assert len(find(scene, count[2])) == int(NUMBERS.get(count[1], count[1])), clause
                checked['count'] += 1
            if between := re.fullmatch(r'(.*) is between (.*) and (.*)', clause.strip()):
                assert all(find(scene, phrase) for phrase in between.groups()), clause
                checked['between'] += 1
    assert min(checked[name] for name in ('denial', 'comparison', 'count', 'between')) > 20


def test_regions_are_inside_and_their_boxes_hold_what_the_phrase_names():
    single = 0
    for scene in SCENES['train2014'][:200]:
        found = make_regions(0, scene)
        assert len(found) >= 4
        for region in found:
            x, y, width, height = (region[name] for name in ('x', 'y', 'width', 'height'))
            assert 0 <= x < x + width <= scene.width and 0 <= y < y + height <= scene.height
            inside = [
                obj
                for obj in find(scene, region['phrase'])
                if x <= obj.center[0] <= x + width and y <= obj.center[1] <= y + height
            ]
            if not re.search(r'background|next|beside|close|' + RELATION.pattern, region['phrase']):
                assert inside, region
                single += 1
    assert single > 500
