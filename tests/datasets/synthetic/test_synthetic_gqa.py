"""Generated questions in the form of GQA: what their families say is true, and the text alone says little."""

import json
from collections import Counter, defaultdict

import pytest

from soho.datasets.synthetic.exports.gqa import attributes_seen, export_gqa, make_choices, number_questions
from soho.datasets.synthetic.gqa_questions import make_families
from soho.datasets.synthetic.scene import Scene, SceneObject, sample_scene
from soho.datasets.vqa import VQADataset
from soho.evaluation.gqa import read_choices, read_questions, score_gqa


@pytest.fixture(scope='module')
def families():
    """The scenes of 300 pictures, and the families about each."""
    scenes = [sample_scene(0, 'train2014', index) for index in range(300)]
    return [(scene, make_families(0, scene)) for scene in scenes]


def questions_of(family):
    return [family.question, *family.equivalent, *family.entailed]


def test_no_question_has_two_answers(families):
    for _, made in families:
        answers = defaultdict(set)
        for family in made:
            assert {question.answer for question in family.equivalent} <= {family.question.answer}
            for question in questions_of(family):
                answers[question.text].add(question.answer)
                assert question.answer in question.valid
        assert all(len(found) == 1 for found in answers.values())


def test_programs_give_the_answers(families):
    """Steps that need no relation are carried out on the scene, without the maker's own code."""
    counted = Counter()
    for scene, made in families:
        for question in (question for family in made for question in questions_of(family)):
            answer = run(question.program, scene)
            if answer is not None:
                counted[question.structural] += 1
                assert answer == question.answer, (question.text, question.program)
    assert min(counted[kind] for kind in ('query', 'verify', 'logical', 'choose', 'compare')) > 20


def run(program, scene):
    """The answer of a program, or None where a step is not of these."""
    done = []
    for operation, argument, dependencies in program:
        given = [done[number] for number in dependencies]
        verb, _, rest = operation.partition(' ')
        if verb == 'select':
            value = [scene] if argument == 'scene' else [o for o in scene.objects if argument in ('object', o.shape)]
        elif verb == 'filter' and rest != 'place':
            value = [obj for obj in given[0] if getattr(obj, rest) == argument]
        elif verb == 'exist':
            value = bool(given[0])
        elif operation == 'not exist':
            value = not given[0]
        elif verb in ('and', 'or'):
            value = all(given) if verb == 'and' else any(given)
        elif verb == 'verify' and rest[:3] != 'rel':
            value = getattr(*given[0], rest) == argument
        elif verb in ('query', 'choose') and rest != 'rel':
            value = getattr(*given[0], rest or argument)
        elif verb in ('same', 'different') and len(given[0]) == len(given[1]) == 1:
            value = (getattr(*given[0], rest) == getattr(*given[1], rest)) is (verb == 'same')
        else:
            return None
        done.append(value)
    return ('yes' if done[-1] else 'no') if isinstance(done[-1], bool) else done[-1]


def test_the_kind_of_a_question_does_not_give_its_answer_away(families):
    of_kind = defaultdict(Counter)
    for _, made in families:
        for question in (family.question for family in made):
            of_kind[question.detailed, len(question.valid)][question.answer] += 1
    large = {kind: found for kind, found in of_kind.items() if found.total() > 60}
    assert {kind for kind, _ in large} >= {'exist', 'existAnd', 'existOr', 'relVerify', 'colorVerify', 'colorQuery'}
    for (kind, values), found in large.items():
        expected = found.total() / values
        error = (expected * (1 - 1 / values)) ** 0.5
        assert max(found.values()) < expected + 3 * error, f'{kind} {found}'


def test_plausible_is_what_occurs():
    objects = [
        SceneObject('star', color, 'large', 'plain', (100.0 * n, 100.0), 80.0, 0.0) for n, color in ((1, 'red'),)
    ]
    scenes = [Scene('val2014', n, 400, 300, 'sand', (obj,)) for n, obj in enumerate(objects)]
    seen = attributes_seen(scenes)
    asked = [f.question for seed in range(30) for f in make_families(seed, scenes[0])]
    color = next(question for question in asked if question.detailed == 'colorQuery')
    choices = make_choices(color, seen)
    assert len(choices['valid']) == 8 and choices['plausible'] == ['red']
    verify = next(question for question in asked if question.structural == 'verify')
    assert make_choices(verify, seen) == dict(valid=['yes', 'no'], plausible=['yes', 'no'])


def test_ids_have_leading_zeros_and_do_not_meet():
    scenes = [sample_scene(0, split, index) for split in ('train2014', 'val2014', 'test2015') for index in range(3)]
    ids = [number for s in scenes for number, _ in number_questions(s, make_families(0, s)).values()]
    assert len(set(map(int, ids))) == len(ids) and {len(name) for name in ids} == {10}
    assert all(name.startswith('0') for name in ids)


def test_the_export_is_prepared_and_scored_as_the_download(synthetic, load_tool, capsys):
    counts = export_gqa(synthetic)
    root = synthetic / 'gqa'
    assert counts['val'] > 30 and export_gqa(synthetic) == counts  # what is there is left alone
    load_tool('prepare/gqa').main(['--root', str(root)])
    printed = capsys.readouterr().out
    assert f'val: 8 images, {counts["val"]} questions' in printed
    pipeline = [dict(type='LoadImage'), dict(type='PackSample', keys=['question_id'])]
    dataset = VQADataset('val_data_gqa.json', 'images', pipeline, data_root=str(root), test_mode=True)
    assert dataset[0]['image'].shape[:2] == tuple(
        json.loads((root / 'val_data_gqa.json').read_text())['data'][0][k] for k in ('height', 'width')
    )
    balanced, every = (read_questions(root / f'val_{part}_questions.json') for part in ('balanced', 'all'))
    assert len(every) > 3 * len(balanced) == 3 * counts['val']
    assert all(every[name] == question for name, question in balanced.items())
    choices = read_choices(root / 'val_choices.json')
    right = score_gqa({name: str(question.answer) for name, question in every.items()}, every, choices)
    assert right[:7] == (100, 100, 100, 100, 100, 100, 0)
    always = score_gqa(dict.fromkeys(every, 'yes'), every, choices)
    assert always.accuracy < 50 and always.validity < 60 and always.consistency is not None
    submission = json.loads((root / 'submission_all_questions.json').read_text())
    assert submission.keys() == read_questions(root / 'testdev_all_questions.json').keys()
    assert all(question.keys() == {'question', 'imageId', 'isBalanced'} for question in submission.values())
