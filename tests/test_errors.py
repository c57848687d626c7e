"""What a person got wrong ends a tool with one sentence; what this project got wrong keeps its traceback."""

import json
import zipfile

import pytest

from soho.errors import UserError, exit_on_user_error


def test_mistakes_of_this_project_keep_their_traceback():
    with pytest.raises(ValueError, match='of ours'), exit_on_user_error():
        raise ValueError('of ours')
    with pytest.raises(SystemExit, match=r'\Aerror: of theirs\Z'), exit_on_user_error():
        raise UserError('of theirs')


def test_the_traceback_may_be_asked_for(monkeypatch):
    monkeypatch.setenv('SOHO_TRACEBACK', '1')
    with pytest.raises(UserError), exit_on_user_error():
        raise UserError('of theirs')


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
