"""A file or a folder is complete or absent, whatever happens while it is written."""

import gzip
import multiprocessing
import os
import signal
import stat

import pytest

from soho.errors import UserError
from soho.files import atomic_folder, atomic_path, atomic_write, iterate_lines, read_text, scratch_folder, write_text

SPAWN = multiprocessing.get_context('spawn')


def test_the_new_contents_take_the_name_at_the_end(tmp_path):
    path = tmp_path / 'new' / 'folder' / 'a.json'
    with atomic_write(path, 'w') as file:
        file.write('é')
        assert not path.exists()
    assert path.read_bytes() == 'é'.encode()
    write_text(path, 'ö')
    assert path.read_bytes() == 'ö'.encode()
    with atomic_path(path) as temporary:
        assert temporary.suffix == '.json'  # np.savez and the like add an ending that is missing
        temporary.write_bytes(b'1')
    assert path.read_bytes() == b'1' and [entry.name for entry in path.parent.iterdir()] == ['a.json']


@pytest.mark.parametrize('error', [OSError('the disk is full'), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path, error):
    path = tmp_path / 'a.json'
    path.write_text('old')
    with pytest.raises(type(error)):
        with atomic_write(path, 'w') as file:
            file.write('new')
            raise error
    assert path.read_text() == 'old' and [entry.name for entry in tmp_path.iterdir()] == ['a.json']


def killed_while_writing(path):
    with atomic_write(path, 'w') as file:
        file.write('new')
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('old')
    process = SPAWN.Process(target=killed_while_writing, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and path.read_text() == 'old'


def test_contents_reach_the_disk_before_the_name_does(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, 'fsync', lambda handle: done.append((stat.S_ISDIR(os.fstat(handle).st_mode), size(handle))))
    monkeypatch.setattr(os, 'replace', lambda *paths: done.append('renamed') or os.rename(*paths))

    def size(handle):
        return 0 if stat.S_ISDIR(os.fstat(handle).st_mode) else os.fstat(handle).st_size

    write_text(tmp_path / 'a.json', '12345')
    assert done == [(False, 5), 'renamed', (True, 0)]


def test_a_file_system_that_cannot_flush_folders_will_do(tmp_path, monkeypatch):
    fsync = os.fsync

    def refuse(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, 'Invalid argument')
        fsync(handle)

    monkeypatch.setattr(os, 'fsync', refuse)
    write_text(tmp_path / 'a.json', '1')
    assert (tmp_path / 'a.json').read_text() == '1'


def test_two_writers_do_not_share_a_temporary_file(tmp_path):
    with atomic_path(tmp_path / 'a') as one, atomic_path(tmp_path / 'a') as other:
        assert one != other
        one.write_text('one')
        other.write_text('other')
    assert (tmp_path / 'a').read_text() == 'one'  # the one that ended last


def test_a_device_is_written_directly():
    write_text(os.devnull, 'x')
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_a_folder_is_complete_or_absent(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with atomic_folder(tmp_path / 'a') as folder:
            (folder / 'one').write_text('1')
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / 'a') as folder:
        (folder / 'one').write_text('1')
        assert not (tmp_path / 'a').exists()
    assert [path.name for path in tmp_path.rglob('*')] == ['a', 'one']
    with pytest.raises(OSError):
        with atomic_folder(tmp_path / 'a') as folder:
            (folder / 'two').write_text('2')
    assert [path.name for path in tmp_path.rglob('*')] == ['a', 'one']


def test_what_a_killed_process_left_in_a_scratch_folder_is_removed(tmp_path):
    with scratch_folder(tmp_path / 'a') as folder:
        pass
    folder.mkdir()
    (folder / 'left').write_text('1')
    with scratch_folder(tmp_path / 'a') as again:
        assert again == folder and not list(folder.iterdir())
    assert not list(tmp_path.iterdir())


def test_what_is_read_as_a_whole_has_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr('soho.files.LONGEST_TEXT', 10)
    path, packed = tmp_path / 'a.txt', tmp_path / 'a.txt.gz'
    path.write_text('line of 10\nline of 10')
    with pytest.raises(UserError, match=r'a\.txt has more than 10 bytes'):
        read_text(path)
    lines = iterate_lines(path)
    with pytest.raises(UserError, match=r'a\.txt has a line of more than 10 characters'):
        next(lines)  # with its end it has 11
    path.write_text('line of 9\n\nline of 10')
    assert list(iterate_lines(path)) == ['line of 9\n', '\n', 'line of 10']
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(UserError, match=r'a\.txt\.gz has more than 10 characters; without \.gz it may'):
        list(iterate_lines(packed))
    with pytest.raises(FileNotFoundError, match=r'There is no file .*none\.gz'):
        next(iterate_lines(tmp_path / 'none.gz'))
