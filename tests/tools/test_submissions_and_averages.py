"""tools/analysis/check_submission.py and tools/convert/average_checkpoints.py."""

import json

import pytest
import torch

from soho.evaluation import vqa


@pytest.fixture
def check(load_tool, tmp_path, capsys):
    """What the tool says of a file with these contents."""

    def check(content, *arguments):
        path = tmp_path / 'file'
        contents = content if isinstance(content, (bytes, str)) else json.dumps(content)
        path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
        load_tool('analysis/check_submission').main([str(path), *map(str, arguments)])
        return capsys.readouterr().out

    return check


def answers(*ids, answer='yes'):
    return [dict(question_id=question_id, answer=answer) for question_id in ids]


def test_answers_are_compared_with_the_questions(check, tmp_path):
    questions = tmp_path / 'questions.json'
    questions.write_text(json.dumps(dict(questions=[dict(question_id=i, image_id=1, question='?') for i in (1, 2, 3)])))
    assert '3 predictions for VQA, all of' in check(answers(3, 1, 2), '--reference', questions)
    for content, message in (
        (answers(1, 2), r'lacks 1 question \(the first is 3\) of'),
        (answers(1, 2, 3, 4), r'answers 1 question \(the first is 4\), not asked in'),
        (answers(1, 1), 'answers question 1 twice'),
        (answers('1'), "question_id is '1', where a whole number is expected"),
        (answers(True), 'question_id is True, where a whole number is expected'),
        (answers(1, answer=5), 'answer is 5, where a text is expected'),
        ([dict(question_id=1)], "has no key 'answer'"),
        ([dict(id=1)], 'VQA has objects with question_id and answer, GQA with questionId'),
        ([], 'begins with None'),
    ):
        with pytest.raises(SystemExit, match=message):
            check(content, '--reference', questions)


def test_evalai_takes_all_of_test_and_not_test_dev(check, monkeypatch):
    assert (vqa.TEST_QUESTIONS, vqa.TEST_DEV_QUESTIONS) == (447_793, 107_394)
    monkeypatch.setattr(vqa, 'TEST_QUESTIONS', 4)
    monkeypatch.setattr(vqa, 'TEST_DEV_QUESTIONS', 2)
    assert '4 predictions for VQA' in check(answers(1, 2, 3, 4))
    with pytest.raises(SystemExit, match='2 questions: these are the questions of test-dev alone; EvalAI takes all 4'):
        check(answers(1, 2))
    with pytest.raises(SystemExit, match='answers 3 questions; EvalAI takes all 4'):
        check(answers(1, 2, 3))


def test_the_questions_of_test_dev_are_no_reference(check, monkeypatch, tmp_path):
    monkeypatch.setattr(vqa, 'TEST_DEV_QUESTIONS', 2)
    questions = tmp_path / 'questions.json'
    for ids, extra in ((range(2), {}), (range(3), dict(data_subtype='test-dev2015'))):
        asked = [dict(question_id=i, image_id=1, question='?') for i in ids]
        questions.write_text(json.dumps(dict(extra, questions=asked)))
        with pytest.raises(SystemExit, match='has the questions of test-dev alone; EvalAI takes the answers to all'):
            check(answers(*ids), '--reference', questions)


def test_answers_of_no_text_are_counted(check, monkeypatch):
    monkeypatch.setattr(vqa, 'TEST_QUESTIONS', 3)
    assert check(answers(1, 2, answer='') + answers(3)).strip().endswith('; 2 of them are empty')
    assert 'empty' not in check(answers(1, 2, 3))
    assert '; 1 of them are empty' in check([dict(questionId='01', prediction=' ')])


def test_the_task_is_known_by_the_contents(check):
    assert 'predictions for GQA' in check([dict(questionId='01', prediction='yes')])
    assert 'predictions for NLVR2' in check('test1-0-0-0,True\ntest1-0-1-0,false\n')
    with pytest.raises(SystemExit, match="line 1 of .* is 'hello'"):
        check('hello')
    with pytest.raises(SystemExit, match='file is not UTF-8 text'):
        check(b'\xff\xfe\x00bad')
    with pytest.raises(SystemExit, match='file is not UTF-8 text'):
        check(b'\n' * 10_000 + b'[\xff]')


@pytest.fixture
def checkpoints(tmp_path):
    paths = []
    for number, value in enumerate((1.0, 4.0)):
        state = dict(weight=torch.full((2,), value), half=torch.tensor(value, dtype=torch.half), n=torch.tensor(number))
        paths.append(str(tmp_path / f'{number}.pth'))
        torch.save(dict(state_dict=state, meta=dict(epoch=number), optimizer=dict(state=1)), paths[-1])
    return paths


def test_checkpoints_are_averaged(checkpoints, load_tool, tmp_path, capsys):
    tool, out = load_tool('convert/average_checkpoints'), str(tmp_path / 'out.pth')
    tool.main([out, *checkpoints])
    assert 'the mean of 2 checkpoints, 3 entries' in capsys.readouterr().out
    average = torch.load(out, weights_only=True)
    assert average['meta'] == dict(epoch=1) and average.keys() == {'state_dict', 'meta'}
    state = average['state_dict']
    assert state['weight'].tolist() == [2.5, 2.5] and state['half'] == 2.5 and state['half'].dtype == torch.half
    assert state['n'] == 1  # a count


def test_checkpoints_of_different_models_are_not_averaged(checkpoints, load_tool, tmp_path):
    tool, out = load_tool('convert/average_checkpoints'), str(tmp_path / 'out.pth')
    with pytest.raises(SystemExit, match='of two checkpoints or more, and there is 1'):
        tool.main([out, checkpoints[0]])
    with pytest.raises(SystemExit, match='named twice'):
        tool.main([out, checkpoints[0], checkpoints[0]])
    torch.save(dict(state_dict=dict(weight=torch.ones(3), half=torch.ones(()), n=torch.ones(()))), checkpoints[1])
    with pytest.raises(SystemExit, match=r'weight has the shapes \(2,\) and \(3,\)'):
        tool.main([out, *checkpoints])
    torch.save(dict(state_dict=dict(weight=torch.ones(3))), checkpoints[1])
    with pytest.raises(SystemExit, match='only one of them has half'):
        tool.main([out, *checkpoints])
    assert not (tmp_path / 'out.pth').exists()
