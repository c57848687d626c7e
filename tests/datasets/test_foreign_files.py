"""Folders and archives as other people make them: litter, links, huge and hostile members."""

import bz2
import io
import os
import struct
import tarfile
import zipfile

import pytest

from soho.datasets import ImageFolders
from soho.datasets.storage.arrays import read_arrays
from soho.datasets.storage.checksums import stamp_file
from soho.datasets.storage.image_store import ImageDecodeError, ImageMissingError, ImageStore
from soho.datasets.storage.index import IndexBuilder
from soho.datasets.storage.json_files import load_json
from soho.datasets.storage.names import is_litter
from soho.datasets.storage.tables import read_table
from soho.errors import UserError
from tests.datasets.archives import EXTENSIONS, tar_of_headers

LITTER = ('.DS_Store', 'n01/._a.jpg', 'n01/Thumbs.db', '__MACOSX/n01/._a.jpg', '.git/n01/a.jpg', 'n01/.cache/a.jpg')
FILES = ('n01/a.jpg', 'n02/b.jpg')


def write_files(root, names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b'picture')


def write_zip(path, names):
    with zipfile.ZipFile(path, 'w') as archive:
        for name in names:
            archive.writestr(name, b'picture')


@pytest.mark.parametrize('kind', ['folder', 'zip', 'zip of the folder'])
def test_litter_is_no_image_and_no_class(kind, tmp_path):
    if kind == 'folder':
        write_files(tmp_path / 'train', [*FILES, *LITTER])
    else:
        prefix = 'train/' if kind == 'zip of the folder' else ''
        write_zip(
            tmp_path / 'train.zip', ['__MACOSX/train/n01/._a.jpg', *(f'{prefix}{name}' for name in (*FILES, *LITTER))]
        )
    assert ImageStore(tmp_path / 'train').names == list(FILES)
    dataset = ImageFolders(str(tmp_path / 'train'), [])
    assert dataset.classes == ['n01', 'n02'] and [dataset.images.file_names[i] for i in range(2)] == list(FILES)
    assert not any(map(is_litter, (*FILES, './n01/a.jpg', 'a..b/c.jpg')))


def test_litter_beside_shards(tmp_path):
    write_files(tmp_path, ['._000000.tar', '.DS_Store', '__MACOSX/._000000.tar'])
    with tarfile.open(tmp_path / '000000.tar', 'w') as tar:
        for name in ('./x.jpg', './._x.jpg', '__MACOSX/x.jpg'):
            info = tarfile.TarInfo(name)
            info.size = 7
            tar.addfile(info, io.BytesIO(b'picture'))
    store = ImageStore(tmp_path)
    assert store.sharded and store.names == ['x.jpg'] and store.read('x.jpg') == b'picture'


@pytest.mark.parametrize('kind', ['folder', 'zip'])
def test_folders_within_classes_are_left_out_and_said(kind, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('soho.datasets.image_folders.print_log', lambda message, *_: said.append(message))
    names = [*FILES, 'n02/deeper/c.jpg']
    write_files(tmp_path / 'train', names) if kind == 'folder' else write_zip(tmp_path / 'train.zip', names)
    dataset = ImageFolders(str(tmp_path / 'train'), [])
    assert dataset.classes == ['n01', 'n02'] and len(dataset) == 2
    assert len(said) == 1 and said[0].endswith('left out 1 folders within the classes, the first n02/deeper')


def test_links_to_files_and_folders_are_followed(tmp_path):
    write_files(tmp_path / 'elsewhere', ['a.jpg', 'more/b.jpg'])
    root = tmp_path / 'train'
    root.mkdir()
    (root / 'n01').symlink_to(tmp_path / 'elsewhere')
    (root / 'c.jpg').symlink_to(tmp_path / 'elsewhere/a.jpg')
    (root / 'n01/circle').symlink_to(root)
    (root / 'gone.jpg').symlink_to('nowhere')
    store = ImageStore(root)
    assert store.names == ['c.jpg', 'n01/a.jpg', 'n01/more/b.jpg']
    assert all(store.read(name) == b'picture' for name in store.names)
    assert store.folders().files == {'': ['c.jpg', 'gone.jpg'], 'n01': ['a.jpg']}


def test_a_name_that_is_not_utf8_is_read(tmp_path):
    name = os.fsdecode(b'n01/\xff.jpg')
    write_files(tmp_path, [name])
    dataset = ImageFolders(str(tmp_path), [])
    assert dataset.store.read(dataset.images.file_names[0]) == b'picture'


@pytest.mark.parametrize(
    'name, sentence',
    [
        ('../secret', r"the file name '\.\./secret' does not stay below the folder"),
        ('/etc/passwd', "the file name '/etc/passwd' does not stay below"),
        ('a\0.jpg', 'does not stay below the folder'),
        ('', "the file name '' does not stay"),
        ('pipe', 'the image pipe of .* is not a regular file'),
        ('device', 'the image device of .* is not a regular file'),
        ('x' * 5000, 'has no image x+\\.\\.\\.x+; near it'),
        ('circle', 'has no image circle'),
        ('a\nb', r'has no image a\\nb; near it'),
    ],
)
def test_only_regular_files_below_the_folder_are_read(name, sentence, tmp_path):
    (tmp_path / 'secret').write_text('secret')
    root = tmp_path / 'images'
    root.mkdir()
    os.mkfifo(root / 'pipe')
    (root / 'device').symlink_to('/dev/zero')
    (root / 'circle').symlink_to(root / 'circle')
    with pytest.raises(ImageMissingError, match=sentence) as caught:
        ImageStore(root).read(name)
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize(
    'name, read',
    [
        ('a.csv', lambda path: list(read_table(path))),
        ('a.jsonl', lambda path: list(read_table(path))),
        ('a.json', load_json),
        ('a.npz', lambda path: read_arrays(path, ('x',), 'arrays')),
        ('a.any', stamp_file),
    ],
)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(name, read, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match='is not a regular file'):
        read(str(tmp_path / name))


@pytest.mark.parametrize('kind', EXTENSIONS)
def test_headers_of_a_tar_without_end_are_damage(kind, tmp_path):
    path = tmp_path / '0.tar'
    path.write_bytes(tar_of_headers(kind, 2))
    assert ImageStore(tmp_path).read('x.jpg') == b'abc'
    path.write_bytes(tar_of_headers(kind, 1500))
    with pytest.raises(UserError, match=r'the shard 0\.tar is damaged, .* \(too many headers of one member\)'):
        ImageStore(tmp_path)


def test_a_file_is_read_up_to_a_limit_that_can_be_raised(tmp_path):
    write_files(tmp_path / 'a', ['a.jpg'])
    write_zip(tmp_path / 'b.zip', ['a.jpg'])
    (tmp_path / 'c').mkdir()
    with tarfile.open(tmp_path / 'c/0.tar', 'w') as tar:
        info = tarfile.TarInfo('a.jpg')
        info.size = 7
        tar.addfile(info, io.BytesIO(b'picture'))
    for name in 'abc':
        assert ImageStore(tmp_path / name, max_bytes=7).read('a.jpg') == b'picture'
        with pytest.raises(ImageDecodeError, match='it has 7 bytes, more than max_image_bytes=6 of the data set'):
            ImageStore(tmp_path / name, max_bytes=6).read('a.jpg')


def change_directory(path, place, form, value):
    """Write a value into the only entry of a zip's directory."""
    data = bytearray(path.read_bytes())
    struct.pack_into(form, data, data.rindex(b'PK\x01\x02') + place, value)
    path.write_bytes(data)


@pytest.mark.parametrize('method', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_no_more_is_decompressed_than_a_zip_says(method, tmp_path, monkeypatch):
    path = tmp_path / 'a.zip'
    with zipfile.ZipFile(path, 'w', method) as archive:
        archive.writestr('a.jpg', bytes(50_000_000))
    assert len(ImageStore(path).read('a.jpg')) == 50_000_000
    change_directory(path, 24, '<I', 100)
    taken = []
    check = zipfile.crc32
    monkeypatch.setattr(
        'soho.datasets.storage.zip_reader.zlib.crc32', lambda data: taken.append(len(data)) or check(data)
    )
    with pytest.raises(ImageDecodeError, match=r'a\.jpg of .* cannot be read: its length or its checksum does not fit'):
        ImageStore(path).read('a.jpg')
    assert set(taken) == {len('a.jpg')}  # of its name, and none of its contents


def test_sizes_of_a_zip_are_held_against_the_file(tmp_path):
    path = tmp_path / 'a.zip'
    write_zip(path, ['a.jpg'])
    change_directory(path, 20, '<I', (1 << 28) - 1)
    with pytest.raises(ImageDecodeError, match='the file ends inside the member'):
        ImageStore(path).read('a.jpg')
    change_directory(path, 20, '<I', (1 << 32) - 2)
    with pytest.raises(ImageDecodeError, match='it has 4294967294 bytes, more than max_image_bytes=268435456'):
        ImageStore(path).read('a.jpg')


def test_two_kilobytes_of_bzip2_are_no_two_gigabytes(tmp_path):
    path = tmp_path / 'a.zip'
    write_zip(path, ['a.jpg'])
    bomb = bz2.compress(bytes(40_000_000))
    assert len(bomb) < 200
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_BZIP2) as archive:
        archive.writestr('a.jpg', bytes(40_000_000))
    store = ImageStore(path, max_bytes=1_000_000)
    with pytest.raises(ImageDecodeError, match='it has 40000000 bytes, more than max_image_bytes=1000000'):
        store.read('a.jpg')


def test_an_archive_with_a_member_of_three_gigabytes_can_be_opened(tmp_path):
    """The members are holes in the file and take no room."""
    size = 3 << 30
    (tmp_path / 's').mkdir()
    with open(tmp_path / 's/000000.tar', 'wb') as file:
        for name, length in (('large.jpg', size), ('small.jpg', 7)):
            info = tarfile.TarInfo(name)
            info.size = length
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.write(b'picture'.ljust(512, b'\0')) if length == 7 else file.seek(length, 1)
        file.write(bytes(1024))
    store = ImageStore(tmp_path / 's')
    assert store.names == ['large.jpg', 'small.jpg'] and store.read('small.jpg') == b'picture'
    with pytest.raises(ImageDecodeError, match='it has 3221225472 bytes, more than'):
        store.read('large.jpg')
    write_zip(tmp_path / 'a.zip', ['a.jpg'])
    change_directory(tmp_path / 'a.zip', 24, '<I', size)
    assert ImageStore(tmp_path / 'a.zip').names == ['a.jpg']


def test_columns_of_an_index_keep_their_type():
    builder = IndexBuilder()
    with pytest.raises(AssertionError, match='the column size has another type, i'):
        builder.numbers('size', 'q')


def test_what_zipfile_and_tarfile_do_not_catch_is_a_sentence(tmp_path):
    path = tmp_path / 'a.zip'
    write_zip(path, ['\u00e9.jpg'])
    data = path.read_bytes()
    path.write_bytes(data.replace('\u00e9'.encode(), b'\xff\xff'))
    with pytest.raises(ValueError, match=r'a\.zip is not a complete zip archive \(its directory is damaged'):
        ImageStore(path)
