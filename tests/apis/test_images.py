"""Which files a picture, or a table of pictures, may stand for."""

import json
import os

import pytest

from soho.apis.images import image_entries
from soho.apis.tables import read_rows
from soho.datasets.storage.image_store import ImageMissingError
from soho.errors import UserError


@pytest.mark.parametrize(
    'name, sentence',
    [
        ('pipe', r'pipe is not a regular file, and pipes and devices are not read$'),
        ('device', 'device is not a regular file'),
        ('folder', 'folder is a folder, and a single image was expected'),
        ('a\0.jpg', r'there is no image .*a\\x00\.jpg$'),
        ('\ud83d.jpg', r'there is no image .*\\ud83d\.jpg$'),
        ('x' * 5000, r'there is no image .*x\.\.\.x+$'),
    ],
)
def test_a_picture_is_a_regular_file(name, sentence, tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'device').symlink_to('/dev/zero')
    (tmp_path / 'folder').mkdir()
    with pytest.raises(ImageMissingError, match=sentence):
        image_entries(f'{tmp_path}/{name}')


@pytest.mark.parametrize('name', ['/etc/passwd', '../secret.png', 'x/../../secret.png', '//etc/passwd', 'a\0.png'])
def test_a_table_names_no_pictures_outside_its_folder(name, tmp_path):
    (tmp_path / 'album').mkdir()
    table = tmp_path / 'album' / 'names.csv'
    table.write_text(f'image\n{name}\n')
    with pytest.raises(UserError, match='line 2 names the image .* which does not lie in .*: --image-dir DIR says'):
        read_rows(str(table))


def test_absolute_names_of_a_table_lie_in_the_folder_that_is_given(tmp_path):
    table, inside = tmp_path / 'names.json', f'{tmp_path}/album/a.png'
    table.write_text(json.dumps([dict(image=inside), dict(image='https://x/a.png')]))
    for folder in (None, f'{tmp_path}/album', f'{tmp_path}/album/', '/'):
        assert [row['image'] for row in read_rows(str(table), folder)] == [inside, 'https://x/a.png']
    with pytest.raises(UserError, match='which does not lie in .*/alb: --image-dir'):
        read_rows(str(table), f'{tmp_path}/alb')


def test_only_a_folder_of_the_command_line_is_looked_for_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'names.csv').write_text('image\n~/a.png\nfile:///a.png\n')
    assert [row['image'] for row in read_rows('names.csv')] == ['./~/a.png', './file:///a.png']
    assert read_rows('names.csv', '~')[0]['image'] == f'{tmp_path}/~/a.png'


def test_an_address_that_is_none_is_said():
    with pytest.raises(ImageMissingError, match='http://a b/c could not be downloaded'):
        image_entries('http://a b/c')
