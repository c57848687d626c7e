"""tools/report.py: one page about any runs."""

import json

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
    head, rows = load_tool('report').slice_answers([answers], annotations)
    assert head == ['', 'questions', 'answers.json']
    assert {row[0]: row[1:] for row in rows} == {
        'All': ['2', '50.00'],
        'Answer type: number': ['1', '0.00'],
        'Answer type: yes/no': ['1', '100.00'],
        'Question type: how many': ['1', '0.00'],
        'Question type: is the': ['1', '100.00'],
    }


def test_answers_to_other_questions_are_refused(load_tool, questions, tmp_path):
    answers, annotations = questions
    other = tmp_path / 'other.json'
    other.write_text(json.dumps([dict(question_id=1, answer='yes')]))
    with pytest.raises(ValueError, match='other.json lacks answers to 1 annotated questions, such as 2'):
        load_tool('report').slice_answers([str(other)], annotations)
    other.write_text('{}')
    with pytest.raises(ValueError, match='other.json'):
        load_tool('report').slice_answers([str(other)], annotations)


def test_a_config_with_code_in_it_is_not_run(load_tool, tmp_path):
    runs = [write_run(tmp_path / name, 0.1, 40.0) for name in ('a', 'b')]
    (tmp_path / 'b' / '20260101_000000' / 'vis_data' / 'config.py').write_text("import os\nos.mkdir('made')\n")
    with pytest.raises(SystemExit, match='cannot be compared'):
        load_tool('report').main([*runs, '--out', str(tmp_path / 'report.html')])
