"""tools/report.py: one page about any runs."""

import json

import numpy as np
import pytest


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
    head, rows = tool.slice_answers(tool.score_files([answers], annotations))
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
    dataset = report.find_questions(list(report.read_saved_configs(str(run))))
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
    load_tool('report').main([str(run), '--answers', answers, '--annotations', annotations, '--out', str(out)])
    assert 'The questions and pictures that the configs name are not here.' in out.read_text()
    with pytest.raises(SystemExit, match='needs --annotations: no config of these runs names a file'):
        load_tool('report').main([str(run), '--answers', answers, '--out', str(out)])
    with pytest.raises(SystemExit, match='are of --answers, and these runs have written none'):
        load_tool('report').main([str(run), '--annotations', annotations, '--out', str(out)])


def test_answers_to_other_questions_are_refused(load_tool, questions, tmp_path):
    answers, annotations = questions
    other = tmp_path / 'other.json'
    other.write_text(json.dumps([dict(question_id=1, answer='yes')]))
    with pytest.raises(ValueError, match='other.json lacks answers to 1 annotated questions, such as 2'):
        load_tool('report').score_files([str(other)], annotations)
    other.write_text('{}')
    with pytest.raises(ValueError, match='other.json'):
        load_tool('report').score_files([str(other)], annotations)


def test_a_config_with_code_in_it_is_not_run(load_tool, tmp_path):
    runs = [write_run(tmp_path / name, 0.1, 40.0) for name in ('a', 'b')]
    (tmp_path / 'b' / '20260101_000000' / 'vis_data' / 'config.py').write_text("import os\nos.mkdir('made')\n")
    with pytest.raises(SystemExit, match='cannot be compared'):
        load_tool('report').main([*runs, '--out', str(tmp_path / 'report.html')])
