"""What a person got wrong ends a tool with one sentence; anything else leaves its traceback."""

import json
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
from mmengine.logging import MMLogger

from soho.engine.config_checks import ConfigError
from soho.errors import (
    LONGEST_SENTENCE,
    TrainingError,
    UserError,
    clip,
    exit_on_user_error,
    first_line,
    format_error,
    quote,
)

ROOT = Path(__file__).resolve().parents[1]


def test_mistakes_of_this_project_keep_their_traceback():
    with pytest.raises(ValueError, match='of ours'), exit_on_user_error():
        raise ValueError('of ours')
    with pytest.raises(SystemExit, match=r'\Aerror: of theirs\Z'), exit_on_user_error():
        raise UserError('of theirs')


def test_the_traceback_may_be_asked_for(monkeypatch):
    monkeypatch.setenv('SOHO_TRACEBACK', '1')
    with pytest.raises(UserError), exit_on_user_error():
        raise UserError('of theirs')


@pytest.fixture
def log(monkeypatch, tmp_path):
    """Begin a run: from here on there is a log. Returns its path."""
    monkeypatch.setattr(MMLogger, '_instance_dict', OrderedDict(MMLogger._instance_dict))

    def begin():
        path = tmp_path / 'run.log'
        MMLogger._instance_dict[path.stem] = MMLogger(path.stem, log_file=str(path))
        return path

    return begin


@pytest.mark.parametrize(
    'error, sentence',
    [
        (TrainingError('loss is nan'), 'error: loss is nan'),
        (OSError(28, 'No space left on device'), r'error: \[Errno 28\] No space left on device'),
        (RuntimeError('mat1 and mat2\nsecond line'), 'error: RuntimeError: mat1 and mat2'),
        (KeyError('weights'), "error: KeyError: 'weights'"),
        (AssertionError(), 'error: AssertionError: no more is known'),
    ],
)
def test_what_stops_a_run_is_in_its_log(error, sentence, log):
    path = None
    with pytest.raises(SystemExit, match=rf'\A{sentence} \(traceback in \S+run\.log\)\Z') as caught:
        with exit_on_user_error():
            path = log()
            raise error
    assert str(path) in str(caught.value)
    text = path.read_text()
    assert 'Traceback (most recent call last)' in text and 'raise error' in text and type(error).__name__ in text


def test_a_mistake_in_a_config_is_said_without_the_log(log):
    with pytest.raises(SystemExit, match=r'\Aerror: of theirs\Z'), exit_on_user_error():
        path = log()
        raise UserError('of theirs')
    assert 'Traceback' not in path.read_text()


def test_the_log_of_an_earlier_run_is_left_alone(log):
    path = log()
    with pytest.raises(SystemExit, match=r'\Aerror: out\.zip could not be made: \[Errno 28\] full\Z'):
        with exit_on_user_error('out.zip'):
            raise OSError(28, 'full')
    with pytest.raises(ZeroDivisionError), exit_on_user_error():
        1 / 0  # noqa: B018
    assert 'Traceback' not in path.read_text()


def test_training_that_fails_leaves_its_traceback_and_exit_code_1(tiny_config, tmp_path):
    """Through the real command: a loss that is no number."""
    cfg = tiny_config('vqa', iters=3, custom_hooks=[dict(type='FiniteLossHook', interval=1)])
    cfg.optim_wrapper.optimizer.lr = 1e30
    cfg.dump(str(tmp_path / 'recipe.py'))
    command = [sys.executable, 'tools/train.py', str(tmp_path / 'recipe.py')]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    path = re.fullmatch(r'error: \S+ is \S+ at iteration \d+: training stopped; .* \(traceback in (\S+)\)', said)[1]
    assert 'Traceback' not in done.stderr and 'TrainingError' in Path(path).read_text()


def change(record):
    """Edit all records of pretraining's annotations."""
    return lambda root: (path := root / 'coco_cap_train_pre.json').write_text(
        json.dumps([dict(old, **record) for old in json.loads(path.read_text())])
    )


def cut_zip(root):
    path = root / 'train2014.zip'
    path.write_bytes(path.read_bytes()[:-100])


def spoil_image(root):
    with zipfile.ZipFile(root / 'train2014.zip') as archive:
        names = archive.namelist()
    with zipfile.ZipFile(root / 'train2014.zip', 'w') as archive:
        for name in names:
            archive.writestr(name, b'not an image')


@pytest.mark.parametrize(
    'damage, sentence',
    [
        (change(dict(captions=[' '])), r"coco_cap_train_pre\.json: image \S+ has the caption ' '; a caption is"),
        (change(dict(captions=[])), r'coco_cap_train_pre\.json: image \S+ has no caption'),
        (lambda root: (root / 'coco_cap_train_pre.json').unlink(), r'coco_cap_train_pre\.json'),
        (lambda root: (root / 'coco_cap_train_pre.json').write_text('[{'), r'coco_cap_train_pre\.json'),
        (change(dict(file_name='none.jpg')), r'train2014\.zip has neither a member train2014/none\.jpg nor'),
        (cut_zip, r'train2014\.zip is not a complete zip archive'),
        (spoil_image, r'\.jpg .*'),
    ],
    ids=['empty caption', 'no caption', 'no file', 'broken json', 'no member', 'cut zip', 'no image'],
)
@pytest.mark.parametrize('workers', [0, 1])
def test_training_on_what_is_wrong(damage, sentence, workers, synthetic, tiny_config, load_tool, tmp_path, monkeypatch):
    root = tmp_path / 'data'
    root.mkdir()
    for name in ('coco_cap_train_pre.json', 'train2014.zip', 'vocab.txt'):
        (root / name).write_bytes((synthetic / name).read_bytes())
    damage(root)
    cfg = tiny_config('pretrain', iters=1, **{'train_dataloader.num_workers': workers})
    cfg.train_dataloader.dataset.data_root = str(root)
    cfg.dump(str(tmp_path / 'recipe.py'))
    with pytest.raises(SystemExit, match=rf'\Aerror: [^\n]*{sentence}[^\n]*\Z'):
        load_tool('train').main([str(tmp_path / 'recipe.py')])


def test_a_sentence_is_short_whatever_it_quotes():
    text = 'x' * 1_000_000
    for error in (UserError(f'a.json is {text}: name another'), ConfigError(f'a.py: {text}', 'key')):
        assert str(error).startswith('a.') and '...' in str(error) and len(str(error)) <= LONGEST_SENTENCE
    assert str(UserError(f'a.json is {text}: name another')).endswith('x: name another')
    assert len(clip(text)) < 250 and len(quote(text)) < 100
    traceback = f'Caught UserError in worker 0.\n{text}\nUserError: a.json is broken'  # as torch hands it on
    assert format_error(UserError(traceback)) == 'a.json is broken'


def test_what_says_nothing_has_a_first_line_too():
    assert first_line('\nan error\nand where it comes from\n') == 'an error'
    assert first_line(' \n', 'KeyError') == 'KeyError'
