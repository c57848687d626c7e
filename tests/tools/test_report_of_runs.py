"""tools/report.py: one page about any runs."""

import json

import numpy as np
import pytest

from soho.datasets.synthetic.exports.formats import EXPORTS
from soho.evaluation.prediction_targets import group_by_first_words, question_targets


def write_run(folder, lr, accuracy):
    log = folder / '20260101_000000' / 'vis_data'
    log.mkdir(parents=True)
    (log / 'config.py').write_text(f"model = dict(type='SOHO', depth=18)\nlr = {lr}\nwork_dir = '{folder}'\n")
    rows = [dict(lr=lr, loss=2.0, time=0.5, epoch=1, iter=1, step=1), dict(accuracy=accuracy, step=1)]
    (log / 'scalars.json').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return str(folder)


@pytest.fixture
def questions(tmp_path):
    """Two annotated questions, and answers of which one is right."""
    kinds = [(1, 'yes', 'is the', 'yes/no'), (2, '3', 'how many', 'number')]
    items = [
        dict(
            question_id=number,
            image_id=number,
            question_type=question_type,
            answer_type=answer_type,
            multiple_choice_answer=answer,
            answers=[dict(answer=answer, answer_id=i, answer_confidence='yes') for i in range(1, 11)],
        )
        for number, answer, question_type, answer_type in kinds
    ]
    annotations, answers = tmp_path / 'annotations.json', tmp_path / 'answers.json'
    annotations.write_text(json.dumps(dict(annotations=items)))
    answers.write_text(json.dumps([dict(question_id=1, answer='yes'), dict(question_id=2, answer='4')]))
    return str(answers), str(annotations)


def test_page_compares_runs_and_slices_answers(load_tool, tmp_path, questions):
    runs = [write_run(tmp_path / 'slow', 0.1, 40.0), write_run(tmp_path / 'fast', 0.2, 50.0)]
    out, (answers, annotations) = tmp_path / 'report.html', questions
    load_tool('report').main([*runs, '--out', str(out), '--answers', answers, '--annotations', annotations])
    page = out.read_text(encoding='utf-8')
    assert '<th scope="row">lr</th><td>0.1</td><td>0.2</td>' in page
    assert '<th scope="row">work_dir</th>' not in page and 'model.depth' not in page
    assert '<th scope="row">fast</th><td>2</td><td>50</td><td>0.500</td>' in page
    assert page.count('<svg') == 2 and 'src="http' not in page


def test_accuracy_of_each_kind_of_question(load_tool, questions):
    answers, annotations = questions
    tool = load_tool('report')
    head, rows = tool.slice_scores(tool.score_files([answers], question_targets(annotations, None)))
    assert head == ['', 'questions', 'answers.json']
    assert {row[0]: row[1:] for row in rows} == {
        'All': ['2', '50.00'],
        'Answer type: number': ['1', '0.00'],
        'Answer type: yes/no': ['1', '100.00'],
        'Question type: how many': ['1', '0.00'],
        'Question type: is the': ['1', '100.00'],
    }


@pytest.fixture
def evaluated(synthetic, tmp_path):
    """A run on the tiny data set that has been tested: its folder, and answers of which every second is right."""
    run = tmp_path / 'vqa'
    write_run(run, 0.1, 40.0)
    truth = json.loads((synthetic / 'v2_mscoco_test2015_annotations.json').read_text())['annotations']
    answers = [
        dict(question_id=item['question_id'], answer='no such thing' if i % 2 else item['multiple_choice_answer'])
        for i, item in enumerate(truth)
    ]
    (tmp_path / 'answers.json').write_text(json.dumps(answers))
    config = dict(
        test_dataloader=dict(
            dataset=dict(type='VQADataset', data_root=str(synthetic), ann_file='test_data_vqa.json', images='test2015')
        ),
        test_evaluator=[
            dict(type='Other'),
            dict(
                type='VQAAccuracy',
                annotation_file=str(synthetic / 'v2_mscoco_test2015_annotations.json'),
                out_file=str(tmp_path / 'answers.json'),
            ),
        ],
    )
    (run / 'vqa.py').write_text('\n'.join(f'{name} = {value!r}' for name, value in config.items()))
    return run, answers


def test_examples_of_what_a_run_has_answered(load_tool, evaluated, tmp_path):
    """All is found from the work dir."""
    run, answers = evaluated
    sure = {str(item['question_id']): [item['answer'], 0.25] for item in answers}
    (tmp_path / 'sure.json').write_text(json.dumps(sure))
    out = tmp_path / 'report.html'
    load_tool('report').main(
        [str(run), '--examples', '3', '--confidences', str(tmp_path / 'sure.json'), '--out', str(out)]
    )
    right, wrong = out.read_text().partition('Answered wrong</h2>')[::2]
    right = right.partition('Answered right</h2>')[2]
    for part, mark in ((right, '✓ right'), (wrong, '✗ wrong')):
        assert part.count(mark) == part.count('<article>') == part.count('src="data:image/') == 3
        assert part.count('(25\u00a0%)') == 3
    assert wrong.count('<b>no such thing</b>') == 3 and 'no such thing' not in right
    assert 'Answer type: number' in out.read_text()


def test_confidences_of_a_dump(load_tool, evaluated, tmp_path):
    run, answers = evaluated
    report = load_tool('report')
    (group,) = report.find_predictions(list(report.read_saved_configs(str(run)))).values()
    dataset = report.build_without_pipeline(group.dataset)
    numbers = np.array([item['question_id'] for item in answers])
    np.savez(tmp_path / 'dump.npz', question_id=numbers, confidence=np.linspace(0, 1, len(numbers)))
    sure = report.read_confidences(str(tmp_path / 'dump.npz'), dataset)
    assert list(sure) == numbers.tolist() and sure[numbers[-1]] == 1
    np.savez(tmp_path / 'other.npz', label=numbers)
    with pytest.raises(ValueError, match='other.npz holds no confidences'):
        report.read_confidences(str(tmp_path / 'other.npz'), dataset)


def test_what_is_not_here_is_said(load_tool, evaluated, questions, tmp_path):
    run, _ = evaluated
    out, (answers, annotations) = tmp_path / 'report.html', questions
    (run / 'vqa.py').unlink()
    write_config(run, dict(type='VQADataset', ann_file='moved.json'), dict(type='VQAAccuracy', out_file=answers))
    load_tool('report').main([str(run), '--out', str(out)])
    assert 'They are not shown: the answers cannot be scored: neither annotations nor' in out.read_text()
    moved = dict(type='VQAAccuracy', annotation_file='moved.json', out_file=answers)
    write_config(run, dict(type='VQADataset'), moved)
    load_tool('report').main([str(run), '--out', str(out)])
    assert 'They are not shown: There is no file moved.json.' in out.read_text()
    (run / 'config.py').unlink()
    load_tool('report').main([str(run), '--answers', answers, '--annotations', annotations, '--out', str(out)])
    assert 'The questions and pictures that the configs name are not here.' in out.read_text()
    with pytest.raises(SystemExit, match='needs --annotations: no config of these runs names a file'):
        load_tool('report').main([str(run), '--answers', answers, '--out', str(out)])
    with pytest.raises(SystemExit, match='are of --answers, and these runs have written none'):
        load_tool('report').main([str(run), '--annotations', annotations, '--out', str(out)])


def test_answers_to_other_questions_are_refused(load_tool, questions, tmp_path):
    targets = question_targets(questions[1], None)
    other = tmp_path / 'other.json'
    other.write_text(json.dumps([dict(question_id=1, answer='yes')]))
    with pytest.raises(ValueError, match='other.json lacks 1 of the annotated questions, such as 2'):
        load_tool('report').score_files([str(other)], targets)
    other.write_text(json.dumps([dict(image_id=1, caption='a cat')]))
    with pytest.raises(ValueError, match='other.json holds captions, where questions are compared'):
        load_tool('report').score_files([str(other)], targets)
    other.write_text('{}')
    with pytest.raises(ValueError, match='other.json holds no predictions'):
        load_tool('report').score_files([str(other)], targets)


def write_config(run, dataset, evaluator):
    config = dict(test_dataloader=dict(dataset=dataset), test_evaluator=evaluator)
    (run / 'config.py').write_text('\n'.join(f'{name} = {value!r}' for name, value in config.items()))


def test_questions_without_annotations_are_scored_by_their_data_set(load_tool, synthetic, tmp_path):
    """As a table of one's own gives them: soft scores, a type of question, and words that questions begin with."""
    run, page = tmp_path / 'own', tmp_path / 'report.html'
    write_run(run, 0.1, 40.0)
    data = json.loads((synthetic / 'val_data_vqa.json').read_text())
    asked = [question for image in data['data'] for question in image['vqa'] if question['labels']]
    for number, question in enumerate(asked):
        question |= dict(labels=question['labels'][:1], scores=[1.0], question_type='even' if number % 2 else 'odd')
    for image in data['data']:
        image['vqa'] = [question for question in image['vqa'] if question['labels']]
    (tmp_path / 'val.json').write_text(json.dumps(data))
    right = [data['label2ans'][question['labels'][0]] for question in asked]
    answers = [
        dict(question_id=question['question_id'], answer='nothing' if number % 2 else answer)
        for number, (question, answer) in enumerate(zip(asked, right))
    ]
    (tmp_path / 'answers.json').write_text(json.dumps(answers))
    source = dict(
        type='VQADataset', data_root=str(tmp_path), ann_file='val.json', images=str(synthetic / 'val2014.zip')
    )
    write_config(run, source, dict(type='VQAAccuracy', out_file=str(tmp_path / 'answers.json')))
    load_tool('report').main([str(run), '--examples', '2', '--out', str(page)])
    shown = page.read_text()
    halves = len(asked) // 2, len(asked) - len(asked) // 2
    assert f'Question type: even</th><td>{halves[0]}</td><td>0.00</td>' in shown
    assert f'Question type: odd</th><td>{halves[1]}</td><td>100.00</td>' in shown
    assert 'Answer type: ' in shown and shown.count('✓ right') == shown.count('✗ wrong') == 2
    assert f'<dt>Right</dt><dd class="rest">{right[1]}</dd>' in shown and 'official rule' not in shown


def test_captions_have_their_best_and_worst(load_tool, synthetic, tmp_path):
    run, page = tmp_path / 'captions', tmp_path / 'report.html'
    write_run(run, 0.1, 40.0)
    references = synthetic / 'annotations' / 'captions_val2014.json'
    captions = {item['image_id']: item['caption'] for item in json.loads(references.read_text())['annotations']}
    captions[min(captions)] = 'xyzzy plugh'
    results = [dict(image_id=image, caption=caption) for image, caption in captions.items()]
    (tmp_path / 'captions.json').write_text(json.dumps(results))
    source = dict(
        type='CaptioningDataset',
        data_root=str(synthetic),
        ann_file='annotations/captions_val2014.json',
        images='val2014',
    )
    evaluator = dict(type='CaptionMetrics', annotation_file=str(references), out_file=str(tmp_path / 'captions.json'))
    write_config(run, source, evaluator)
    load_tool('report').main([str(run), '--examples', '2', '--out', str(page)])
    best, worst = page.read_text().partition('Worst captions</h2>')[::2]
    table, best = best.partition('Best captions</h2>')[::2]
    assert f'CIDEr</th><td>{len(captions)}</td>' in table and 'BLEU-4' in table
    for part in (best, worst):
        assert part.count('<article>') == part.count('src="data:image/') == part.count('<dt>References</dt>') == 2
    assert 'xyzzy plugh' in worst and 'xyzzy plugh' not in best and 'CIDEr 0.00' in worst


def test_statements_are_shown_with_both_pictures(load_tool, synthetic, tmp_path):
    EXPORTS['nlvr2'](synthetic)
    run, page = tmp_path / 'pairs', tmp_path / 'report.html'
    write_run(run, 0.1, 40.0)
    ann_file = synthetic / 'nlvr2' / 'dev.jsonl'
    lines = [json.loads(line) for line in ann_file.read_text().splitlines()]
    (tmp_path / 'statements.csv').write_text(''.join(f'{line["identifier"]},True\n' for line in lines))
    source = dict(type='NLVR2Dataset', data_root=str(synthetic), ann_file='nlvr2/dev.jsonl', images='val2014')
    write_config(run, source, dict(type='StatementAccuracy', out_file=str(tmp_path / 'statements.csv')))
    load_tool('report').main([str(run), '--examples', '1', '--out', str(page)])
    shown = page.read_text()
    true = sum(str(line['label']).lower() == 'true' for line in lines)
    assert f'Label: True</th><td>{true}</td><td>100.00</td>' in shown and 'Consistency' in shown
    assert shown.count('src="data:image/') == 4 and shown.count('<dt>Right</dt>') == 2


def test_hypotheses_are_scored_as_questions(load_tool, synthetic, tmp_path):
    EXPORTS['snli_ve'](synthetic)
    run, page = tmp_path / 'entailment', tmp_path / 'report.html'
    write_run(run, 0.1, 40.0)
    ann_file = synthetic / 'snli_ve' / 'snli_ve_dev.jsonl'
    labels = [json.loads(line)['gold_label'] for line in ann_file.read_text().splitlines()]
    answers = [dict(question_id=i, answer='neutral') for i, label in enumerate(labels) if label != '-']
    (tmp_path / 'answers.json').write_text(json.dumps(answers))
    source = dict(
        type='SNLIVEDataset', data_root=str(synthetic), ann_file='snli_ve/snli_ve_dev.jsonl', images='val2014'
    )
    write_config(run, source, dict(type='ClassificationAccuracy', out_file=str(tmp_path / 'answers.json')))
    load_tool('report').main([str(run), '--examples', '2', '--out', str(page)])
    shown = page.read_text()
    assert f'All</th><td>{len(answers)}</td><td>{100 * labels.count("neutral") / len(answers):.2f}</td>' in shown
    assert shown.count('✓ right') == shown.count('✗ wrong') == 2
    # a model without the image is shown none, and its accuracy all the same
    write_config(
        run, dict(source, images=None), dict(type='ClassificationAccuracy', out_file=str(tmp_path / 'answers.json'))
    )
    load_tool('report').main([str(run), '--out', str(page)])
    assert f'All</th><td>{len(answers)}</td>' in page.read_text() and '✓ right' not in page.read_text()


def test_runs_about_different_data_have_sections_of_their_own(load_tool, evaluated, tmp_path, synthetic):
    run, _ = evaluated
    other = tmp_path / 'other'
    write_run(other, 0.2, 50.0)
    (tmp_path / 'captions.json').write_text('[{"image_id": 1, "caption": "a star"}]')
    references = dict(images=[dict(id=1, file_name='a.jpg', height=1, width=1)], annotations=[])
    references['annotations'].append(dict(id=1, image_id=1, caption='a star'))
    (tmp_path / 'references.json').write_text(json.dumps(references))
    metric = dict(type='CaptionMetrics', annotation_file=str(tmp_path / 'references.json'))
    write_config(other, dict(type='CaptioningDataset'), dict(metric, out_file=str(tmp_path / 'captions.json')))
    load_tool('report').main([str(run), str(other), '--out', str(tmp_path / 'report.html')])
    shown = (tmp_path / 'report.html').read_text()
    assert 'Captions: references.json</h2>' in shown
    assert 'Answers by kind: v2_mscoco_test2015_annotations.json</h2>' in shown


def test_a_run_without_predictions_is_named(load_tool, tmp_path):
    run = tmp_path / 'run'
    write_run(run, 0.1, 40.0)
    write_config(run, dict(type='VQADataset', ann_file='val.json', images='images'), dict(type='VQAAccuracy'))
    load_tool('report').main([str(run), '--out', str(tmp_path / 'report.html')])
    assert f'{run} has written no predictions' in (tmp_path / 'report.html').read_text()
    with pytest.raises(SystemExit, match='run holds no config and checkpoint to predict with'):
        load_tool('report').main([str(run), '--test', '--out', str(tmp_path / 'report.html')])


def test_questions_that_begin_alike_are_a_group():
    texts = [*['How many cups?'] * 6, *['Is it red?'] * 3, *['Is the cat in?'] * 3, 'Why?']
    assert list(group_by_first_words(dict(enumerate(texts))).values()) == [*['how many'] * 6, *['is'] * 6, 'other']


def test_a_config_with_code_in_it_is_not_run(load_tool, tmp_path):
    runs = [write_run(tmp_path / name, 0.1, 40.0) for name in ('a', 'b')]
    (tmp_path / 'b' / '20260101_000000' / 'vis_data' / 'config.py').write_text("import os\nos.mkdir('made')\n")
    with pytest.raises(SystemExit, match='cannot be compared'):
        load_tool('report').main([*runs, '--out', str(tmp_path / 'report.html')])
