"""Saved logits: their mean, the temperature, and what is wrong with a file of them."""

import json

import numpy as np
import pytest
import torch

from soho.errors import UserError
from soho.evaluation.logits import (
    SavedLogits,
    answer_confidence,
    average_logits,
    fit_temperature,
    load_logits,
    measure_calibration,
)


def save(path, ids, logits, soft=True):
    logits = torch.tensor(logits, dtype=torch.float32)
    confidence, label = (torch.sigmoid(logits) if soft else logits.softmax(1)).max(1)
    np.savez(path, question_id=np.array(ids), logits=logits.numpy(), confidence=confidence.numpy(), label=label.numpy())
    return str(path)


def test_dumps_are_read_in_the_order_of_their_questions(tmp_path):
    soft = load_logits(save(tmp_path / 'a.npz', [5, 2], [[1.0, 0.0, 2.0], [3.0, -1.0, -4.0]]))
    assert soft.question_id.tolist() == [2, 5] and soft.logits[0].tolist() == [3, -1, -4] and soft.soft
    assert not load_logits(save(tmp_path / 'b.npz', [5, 2], [[1.0, 0.0, 2.0], [3.0, -1.0, -4.0]], soft=False)).soft


def test_the_mean_is_weighted():
    dumps = {
        'a': SavedLogits(np.array([1, 2]), np.array([[1.0, 0.0], [0.0, 4.0]], np.float32), True),
        'b': SavedLogits(np.array([1, 2]), np.array([[3.0, 2.0], [0.0, 0.0]], np.float32), True),
    }
    assert average_logits(dumps).logits.tolist() == [[2, 1], [0, 2]]
    assert average_logits(dumps, [6, 2]).logits.tolist() == [[1.5, 0.5], [0, 3]]
    for weights in ([1], [1, -1], [0, 0]):
        with pytest.raises(ValueError, match='2 models need as many weights'):
            average_logits(dumps, weights)
    base = dumps['b']
    for wrong, message in (
        (base._replace(question_id=np.array([1, 3])), 'b and a are not of the same questions: 2, such as 2'),
        (base._replace(logits=np.zeros((2, 3))), 'b has 3 answers, but a has 2'),
        (base._replace(soft=False), 'not trained with the same loss'),
    ):
        with pytest.raises(ValueError, match=message):
            average_logits(dict(dumps, b=wrong))


def test_calibration_by_hand():
    found = measure_calibration(np.array([0.75, 0.75, 0.25]), np.array([1.0, 0.0, 0.0]))
    assert found.log_loss == pytest.approx((-np.log(0.75) - np.log(0.25) - np.log(0.75)) / 3)
    assert found.calibration_error == pytest.approx((2 * abs(0.75 - 0.5) + 0.25) / 3)


@pytest.mark.parametrize('soft', [True, False])
def test_the_temperature_of_logits_that_are_too_large_is_found(soft):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 2, (20_000, 4)).astype(np.float32))
    # Answers are right as often as the confidences of these logits say, and three times the logits are saved.
    truth = (torch.sigmoid(logits) if soft else logits.softmax(1)).amax(1).numpy()
    score = (rng.random(len(truth)) < truth).astype(float)
    saved = SavedLogits(np.arange(len(truth)), 3 * logits.numpy(), soft)
    temperature = fit_temperature(saved, score)
    assert temperature == pytest.approx(3, rel=0.06)
    before, after = (measure_calibration(answer_confidence(saved, t), score) for t in (1.0, temperature))
    assert after.log_loss < before.log_loss and after.calibration_error < 0.02 < before.calibration_error


def test_files_that_are_no_dumps_are_refused(tmp_path):
    with pytest.raises(ValueError, match='holds question 3 twice'):
        load_logits(save(tmp_path / 'a.npz', [3, 3], [[0.0], [0.0]]))
    with pytest.raises(ValueError, match='finite logits'):
        load_logits(save(tmp_path / 'a.npz', [3], [[float('nan')]]))
    np.savez(tmp_path / 'a.npz', label=np.zeros(2))
    with pytest.raises(ValueError, match='has no question_id; it must be a dump of a classifier'):
        load_logits(tmp_path / 'a.npz')
    (tmp_path / 'a.npz').write_text('no zip')
    with pytest.raises(ValueError, match='is no npz file'):
        load_logits(tmp_path / 'a.npz')
    with pytest.raises(FileNotFoundError):
        load_logits(tmp_path / 'b.npz')


@pytest.mark.parametrize(
    'changes, sentence',
    [
        (dict(logits=np.array([['a', 'b']] * 2)), 'must hold finite logits'),
        (dict(question_id=np.array(7)), 'must hold finite logits'),
        (dict(confidence=np.zeros(1, np.float32)), 'must hold finite logits'),
        (dict(question_id=np.array(['1', None], object)), 'is no npz file'),
    ],
)
def test_arrays_of_other_shapes_and_types_are_refused(changes, sentence, tmp_path):
    values = dict(question_id=np.arange(2), logits=np.eye(2, dtype=np.float32), confidence=np.ones(2, np.float32))
    np.savez(tmp_path / 'a.npz', **values)
    assert load_logits(tmp_path / 'a.npz').question_id.tolist() == [0, 1]
    np.savez(tmp_path / 'a.npz', **(values | changes))
    with pytest.raises(UserError, match=sentence):
        load_logits(tmp_path / 'a.npz')
    np.savez_compressed(tmp_path / 'a.npz', **values)
    with pytest.raises(UserError, match='a.npz is compressed; it must be a dump'):
        load_logits(tmp_path / 'a.npz')


@pytest.fixture
def questions(tmp_path):
    """Two models' logits on four questions, of which three in four are answered right by one, and all by the mean."""
    (tmp_path / 'data.json').write_text(json.dumps(dict(data=[], ans2label=dict(no=0, yes=1), label2ans=['no', 'yes'])))
    answers = {'1': 'yes', '2': 'no', '3': 'yes', '4': 'no'}
    (tmp_path / 'truth.json').write_text(json.dumps(answers))
    a = save(tmp_path / 'a.npz', [1, 2, 3, 4], [[-3.0, 3.0], [3.0, -3.0], [-3.0, 3.0], [-0.5, 0.5]])
    b = save(tmp_path / 'b.npz', [4, 3, 2, 1], [[2.0, -2.0], [0.5, -0.5], [3.0, -3.0], [-3.0, 3.0]])
    return tmp_path, a, b


def test_the_ensemble_tool(questions, load_tool, capsys):
    folder, a, b = questions
    arguments = ['--answers', str(folder / 'data.json'), '--annotations', str(folder / 'truth.json')]
    out, dump = folder / 'out.json', folder / 'mean.npz'
    load_tool('analysis/ensemble').main([a, b, *arguments, '--out', str(out), '--dump', str(dump)])
    printed = capsys.readouterr().out
    assert f' 75.00  {a}' in printed and '100.00  mean' in printed
    answers = {item['question_id']: item['answer'] for item in json.loads(out.read_text())}
    assert answers == {1: 'yes', 2: 'no', 3: 'yes', 4: 'no'}
    assert load_logits(dump).logits[3].tolist() == [0.75, -0.75]
    with pytest.raises(SystemExit, match='a dump is named twice'):
        load_tool('analysis/ensemble').main([a, a, *arguments])
    (folder / 'data.json').write_text(json.dumps(dict(data=[], ans2label=dict(no=0), label2ans=['no'])))
    with pytest.raises(SystemExit, match='has a list of 1 answers, but the logits are of 2'):
        load_tool('analysis/ensemble').main([a, b, *arguments])


def gqa_question(answer=None):
    """A question of GQA, with what comes with an answer."""
    asked = dict(question='Is it?', imageId='n1', isBalanced=True)
    if answer is None:
        return asked
    types = dict(structural='verify', semantic='obj', detailed='')
    return dict(asked, answer=answer, types=types, groups={'global': None}, semantic=[], entailed=[])


def test_both_tools_take_the_questions_of_gqa(questions, load_tool, capsys):
    folder, a, b = questions
    official, out = folder / 'questions.json', folder / 'out.json'
    official.write_text(json.dumps({f'0{i}': gqa_question('no' if i % 2 == 0 else 'yes') for i in range(1, 5)}))
    arguments = ['--answers', str(folder / 'data.json'), '--annotations', str(official), '--out', str(out)]
    load_tool('analysis/calibrate').main([a, *arguments])
    assert 'accuracy 75.00' in capsys.readouterr().out
    load_tool('analysis/ensemble').main([a, b, *arguments])
    assert '100.00  mean' in capsys.readouterr().out
    expected = [dict(questionId=f'0{i}', prediction='no' if i % 2 == 0 else 'yes') for i in range(1, 5)]
    assert json.loads(out.read_text()) == expected
    official.write_text(json.dumps({f'0{i}': gqa_question() for i in range(1, 5)}))  # those of the server
    load_tool('analysis/ensemble').main([a, b, *arguments])
    assert json.loads(out.read_text()) == expected and '100.00' not in capsys.readouterr().out
    with pytest.raises(SystemExit, match='question 1, of which there are logits, is not in the annotations'):
        load_tool('analysis/calibrate').main([a, *arguments])
    official.write_text(json.dumps({'01': gqa_question()}))
    with pytest.raises(SystemExit, match='question 2, of which there are logits, is not in the file of questions'):
        load_tool('analysis/ensemble').main([a, b, *arguments])


def test_the_calibration_tool_stores_the_temperature(questions, load_tool, capsys):
    from soho.engine.checkpoint.config_text import config_of
    from soho.engine.checkpoint.read import read_checkpoint

    folder, a, _ = questions
    text = "model = dict(type='SOHO', heads=dict(vqa=dict(type='ClassificationHead', hidden_size=8)))\nlist_ = [1]\n"
    source, out = str(folder / 'in.pth'), str(folder / 'out.pth')
    torch.save(dict(state_dict=dict(x=torch.ones(1)), meta=dict(cfg=text, epoch=3)), source)
    arguments = [a, '--answers', str(folder / 'data.json'), '--annotations', str(folder / 'truth.json')]
    tool = load_tool('analysis/calibrate')
    tool.main([*arguments, '--out', str(folder / 'calibration.json'), '--checkpoint', source, out])
    assert 'accuracy 75.00' in capsys.readouterr().out
    record = json.loads((folder / 'calibration.json').read_text())
    assert record['questions'] == 4 and record['after']['log_loss'] <= record['before']['log_loss']
    checkpoint = read_checkpoint(out)
    config = config_of(checkpoint)
    assert config['model']['heads']['vqa']['temperature'] == record['temperature'] and config['list_'] == [1]
    assert checkpoint['meta']['epoch'] == 3 and checkpoint['state_dict']['x'].item() == 1
    with pytest.raises(SystemExit, match="has no head 'gqa'; it has vqa"):
        tool.main([*arguments, '--checkpoint', source, out, '--head', 'gqa'])
    torch.save(dict(state_dict=dict(x=torch.ones(1))), source)
    with pytest.raises(SystemExit, match='does not say with which config it was trained'):
        tool.main([*arguments, '--checkpoint', source, out])
