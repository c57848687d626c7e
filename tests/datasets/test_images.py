import gzip
import io
import multiprocessing
import os
import pickle
import tarfile
import zipfile

import pytest

from soho.datasets.storage.image_store import ImageDecodeError, ImageMissingError, ImageStore
from soho.datasets.storage.packed_strings import PackedStrings

MEMBERS = {f'{i:03d}.jpg': bytes([i]) * (50 + i) for i in range(60)}


def write_zip(path, prefix='', compression=zipfile.ZIP_STORED, members=MEMBERS):
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, data in members.items():
            archive.writestr(prefix + name, data)


def write_shards(folder, members=MEMBERS, shards=7):
    """Tar files as others write them, without an index."""
    folder.mkdir(exist_ok=True)
    for shard in range(shards):
        with tarfile.open(folder / f'{shard:06d}.tar', 'w') as tar:
            for name in list(members)[shard::shards]:
                info = tarfile.TarInfo(name)
                info.size = len(members[name])
                tar.addfile(info, io.BytesIO(members[name]))


@pytest.mark.parametrize('compression', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize('prefix', ['train2014/', ''])
@pytest.mark.parametrize('root', ['train2014/', 'train2014', 'train2014.zip'])
def test_zip_is_read_as_the_official_configs_name_it(tmp_path, compression, prefix, root):
    write_zip(tmp_path / 'train2014.zip', prefix, compression)
    store = ImageStore(f'{tmp_path}/{root}')
    assert {name: store.read(name) for name in MEMBERS} == MEMBERS


def test_folder_goes_before_the_zip(tmp_path):
    write_zip(tmp_path / 'images.zip')
    folder = tmp_path / 'images'
    folder.mkdir()
    (folder / '001.jpg').write_bytes(b'from the folder')
    assert ImageStore(folder).read('001.jpg') == b'from the folder'


def test_last_of_several_members_of_one_name_counts(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive, pytest.warns(UserWarning, match='Duplicate'):
        archive.writestr('1.jpg', b'old')
        archive.writestr('1.jpg', b'new')
    assert ImageStore(tmp_path / 'a').read('1.jpg') == b'new'


def _read_all(store, failures):
    for _ in range(20):
        failures.value += any(store.read(name) != data for name, data in MEMBERS.items())


@pytest.mark.parametrize('kind', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, 'tar'])
def test_forked_processes_read_one_archive_at_once(tmp_path, kind):
    write_shards(tmp_path / 'a') if kind == 'tar' else write_zip(tmp_path / 'a.zip', compression=kind)
    store = ImageStore(tmp_path / 'a')
    store.read('001.jpg')  # descriptors are open before the processes start
    context = multiprocessing.get_context('fork')
    failures = context.Value('i', 0)
    processes = [context.Process(target=_read_all, args=(store, failures)) for _ in range(2)]
    for process in processes:
        process.start()
    _read_all(store, failures)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert failures.value == 0


@pytest.mark.parametrize('kind', [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, 'tar'])
def test_pickled_store_outlives_the_original(tmp_path, kind):
    write_shards(tmp_path / 'a') if kind == 'tar' else write_zip(tmp_path / 'a.zip', compression=kind)
    store = ImageStore(tmp_path / 'a')
    store.read('001.jpg')
    pickled = pickle.dumps(store)
    del store
    copy = pickle.loads(pickled)
    assert {name: copy.read(name) for name in MEMBERS} == MEMBERS


def test_the_directory_of_a_large_zip_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr('soho.datasets.storage.zip_reader.LARGE', 0)
    write_zip(tmp_path / 'a.zip')
    ImageStore(tmp_path / 'a')
    with monkeypatch.context() as context:
        context.setattr('soho.datasets.storage.zip_reader.ZipReader._scan', None)  # nothing reads the directory again
        store = pickle.loads(pickle.dumps(ImageStore(tmp_path / 'a')))
        assert {name: store.read(name) for name in store.names} == MEMBERS
    write_zip(tmp_path / 'a.zip', members={'new.jpg': b'new'})
    assert ImageStore(tmp_path / 'a').names == ['new.jpg']


def test_pickled_index_is_a_few_dozen_bytes_a_member(tmp_path):
    write_zip(tmp_path / 'a.zip', members={f'{i:012d}.jpg': b'' for i in range(3000)})
    assert len(pickle.dumps(ImageStore(tmp_path / 'a'))) < 64 * 3000


def test_missing_store_names_both_places(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'folder .*/val2014 and in the archive .*/val2014\.zip'):
        ImageStore(tmp_path / 'val2014')


def test_cut_zip_is_refused(tmp_path):
    write_zip(tmp_path / 'a.zip')
    data = (tmp_path / 'a.zip').read_bytes()
    (tmp_path / 'a.zip').write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r'a\.zip is not a complete zip archive'):
        ImageStore(tmp_path / 'a')


def test_missing_member_names_its_neighbours(tmp_path):
    write_zip(tmp_path / 'train2014.zip', 'train2014/')
    message = (
        r'neither a member train2014/0305\.jpg nor 0305\.jpg; '
        r'near it are train2014/030\.jpg, train2014/031\.jpg, train2014/032\.jpg$'
    )
    with pytest.raises(ImageMissingError, match=message):
        ImageStore(tmp_path / 'train2014').read('0305.jpg')


def test_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / '030.png').touch()
    with pytest.raises(ImageMissingError, match=r'has no image 030\.jpg; near it are 030\.png$'):
        ImageStore(tmp_path).read('030.jpg')
    (tmp_path / '030.png').unlink()
    with pytest.raises(ImageMissingError, match='near it are no files at all'):
        ImageStore(tmp_path).read('030.jpg')


@pytest.mark.parametrize('compression', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_every_damaged_byte_of_a_member_is_noticed(tmp_path, compression):
    path = tmp_path / 'a.zip'
    write_zip(path, compression=compression, members={'1.jpg': bytes(range(256)) * 6})
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo('1.jpg')
    start = info.header_offset + 30 + len('1.jpg')
    data = path.read_bytes()
    for place in range(start + 12, start + info.compress_size, 97):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        with pytest.raises(ImageDecodeError, match=r'the member 1\.jpg of .*a\.zip cannot be read'):
            ImageStore(tmp_path / 'a').read('1.jpg')


def test_encrypted_member_is_refused(tmp_path):
    path = tmp_path / 'a.zip'
    write_zip(path, members={'1.jpg': b'data'})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b'PK\x01\x02') + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ImageDecodeError, match='encrypted'):
        ImageStore(tmp_path / 'a').read('1.jpg')


def test_shards_are_read_by_name_in_any_order(tmp_path, monkeypatch):
    monkeypatch.setattr('soho.datasets.storage.tar_shards._OPEN', 3)  # files at a time, of seven
    write_shards(tmp_path / 'a', MEMBERS | {'sub/x.jpg': b'below', '000.json': b'{}'})
    store = ImageStore(tmp_path / 'a')
    assert store.sharded and store.names == sorted([*MEMBERS, 'sub/x.jpg'])
    assert {name: store.read(name) for name in store.names} == MEMBERS | {'sub/x.jpg': b'below'}
    names = ['005.jpg', '000.jpg', '0005.jpg', '009.jpg', 'zzz', 'ü.jpg', '']
    assert store.shards_of(PackedStrings(names)).tolist() == [5, 0, 0, 2, 0, 0, 0]
    assert ImageStore(tmp_path).shards_of(PackedStrings(names)).tolist() == [0] * 7
    with pytest.raises(ImageMissingError, match=r'has no member 0305\.jpg; near it are 030\.jpg, 031\.jpg, 032'):
        store.read('0305.jpg')
    assert not ImageStore(tmp_path).sharded


def test_shards_of_others(tmp_path):
    write_shards(tmp_path / 'a', {f'./{name}': data for name, data in MEMBERS.items()}, shards=2)
    store = ImageStore(tmp_path / 'a')
    assert store.names == list(MEMBERS) and {name: store.read(name) for name in MEMBERS} == MEMBERS
    shard = tmp_path / 'a' / '000001.tar'
    shard.write_bytes(gzip.compress(shard.read_bytes()))
    with pytest.raises(ValueError, match=r'the shard 000001\.tar is damaged, or compressed, which shards are not'):
        ImageStore(tmp_path / 'a')


@pytest.mark.parametrize('name', ['a.jpg', 'b.PNG', 'folder/a.jpg'])
def test_an_archive_beside_images_does_not_hide_them(tmp_path, name):
    write_shards(tmp_path)
    assert ImageStore(tmp_path).sharded
    (tmp_path / '.hidden').mkdir()
    assert ImageStore(tmp_path).sharded
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b'picture')
    assert ImageStore(tmp_path).read(name) == b'picture'


def test_changed_shards_are_looked_up_again(tmp_path):
    folder = tmp_path / 'a'
    write_shards(folder)
    before = ImageStore(folder)
    assert (folder / 'shards.index').exists()
    write_shards(folder, {'new.jpg': b'new', **MEMBERS})
    assert ImageStore(folder).read('new.jpg') == b'new'
    data = (folder / '000000.tar').read_bytes()
    (folder / '000000.tar').write_bytes(data[:530])
    with pytest.raises(ImageDecodeError, match=r'cannot be read: 000000\.tar ends inside it'):
        before.read('000.jpg')
    with pytest.raises(ValueError, match=r'a cannot be read: the shard 000000\.tar is damaged'):
        ImageStore(folder)


@pytest.mark.parametrize('where', ['start', 'middle', 'names'])
def test_an_exchanged_shard_of_equal_size_and_time_is_noticed(tmp_path, where, monkeypatch):
    monkeypatch.setattr('soho.datasets.storage.checksums.ENDS', tarfile.BLOCKSIZE)
    members = {f'{i}.jpg': bytes([i]) * 500 for i in range(1, 7)}
    write_shards(tmp_path, members, shards=1)
    assert ImageStore(tmp_path).read('3.jpg') == members['3.jpg']
    shard = tmp_path / '000000.tar'
    stat, size = os.stat(shard), shard.stat().st_size
    names = list(members)[::-1] if where == 'start' else list(members)
    changed = {name: members[name] * (1 + (name == '2.jpg')) for name in names}  # the others come later in the shard
    if where == 'names':
        changed = {name: members[name] for name in [*names[:2], *names[2:4][::-1], *names[4:]]}
    write_shards(tmp_path, changed, shards=1)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert shard.stat().st_size == size
    if where == 'start':
        assert ImageStore(tmp_path).read('3.jpg') == members['3.jpg']
    else:
        with pytest.raises(ImageDecodeError, match=r'3\.jpg of .* it is not there in 000000\.tar, which was exch'):
            ImageStore(tmp_path).read('3.jpg')


def test_two_members_of_one_name_are_refused(tmp_path):
    write_shards(tmp_path / 'a', {'1.jpg': b'one'}, shards=1)
    (tmp_path / 'a' / '000001.tar').write_bytes((tmp_path / 'a' / '000000.tar').read_bytes())
    with pytest.raises(ValueError, match=r'two members are called 1\.jpg'):
        ImageStore(tmp_path / 'a')


def test_a_damaged_header_is_not_the_end_of_a_shard(tmp_path):
    write_shards(tmp_path, {f'{i}.jpg': b'x' for i in range(4)}, shards=1)
    shard = tmp_path / '000000.tar'
    data = bytearray(shard.read_bytes())
    data[2 * 2 * tarfile.BLOCKSIZE] ^= 1  # of the third member's name, so that its checksum is wrong
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=r'the shard 000000\.tar is damaged.*no header at byte 2048'):
        ImageStore(tmp_path)


def test_a_name_in_a_shard_may_be_long(tmp_path):
    name = f'{"folder/" * 30}a.jpg'
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / '000000.tar', 'w', format=kind) as tar:
            for member, data in ((name, b'picture'), ('b.jpg', b'other')):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        store = ImageStore(tmp_path)
        assert store.read(name) == b'picture' and store.read('b.jpg') == b'other'
    huge = tarfile.TarInfo('a.jpg')
    huge.pax_headers = dict(comment='x' * (1 << 21))
    with tarfile.open(tmp_path / '000000.tar', 'w', format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(huge)
    with pytest.raises(ValueError, match=r'the shard 000000\.tar is damaged.*a header of 20971\d\d bytes'):
        ImageStore(tmp_path)


def test_a_zip_whose_directory_gives_a_member_the_name_of_another_is_damaged(tmp_path):
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        for name in ('1.jpg', '2.jpg'):
            archive.writestr(name, b'picture')
    data = (tmp_path / 'a.zip').read_bytes()
    directory = data.index(b'PK\x01\x02')
    (tmp_path / 'a.zip').write_bytes(data[:directory] + data[directory:].replace(b'2.jpg', b'3.jpg'))
    store = ImageStore(tmp_path / 'a.zip')
    assert store.read('1.jpg') == b'picture'
    with pytest.raises(ImageDecodeError, match='3.jpg of .* a member of another name is where the directory says'):
        store.read('3.jpg')
