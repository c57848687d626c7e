"""Sharded checkpoints: whole or not at all, never other weights, and never code."""

import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint import metadata as dcp
from torch.distributed.tensor import DTensor, distribute_tensor

from soho.engine.checkpoint.newest import newest_checkpoint
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint, read_header
from soho.engine.checkpoint.save import remove_checkpoint, remove_lost_shards, write_checkpoint, write_sharded
from soho.errors import TrainingError, UserError
from soho.files import hash_file


def write(path, mesh, iteration=1, value=1.0):
    """A run's checkpoint with two sharded tensors and a full one."""

    def shard(tensor):
        return distribute_tensor(tensor, mesh)

    checkpoint = dict(
        meta=dict(iter=iteration, epoch=0, save_number=iteration),
        message_hub={},
        state_dict={'a.weight': shard(torch.full((3, 2), value)), 'count': torch.tensor(3)},
        optimizer=dict(state={0: dict(step=torch.tensor(1.0), mean=shard(torch.arange(6.0).view(3, 2)))}),
    )
    write_sharded(checkpoint, str(path))
    return shards(path)


def shards(path):
    """Folder of a checkpoint."""
    (folder,) = Path(path).parent.glob(f'{Path(path).stem}.*.shards')
    return folder


def reseal(path):
    """Let the sums of a checkpoint agree with what its folder holds now, as who forges one would."""
    checkpoint = read_header(str(path))
    folder = shards(path)
    checkpoint['shards']['files'] = {f.name: [f.stat().st_size, hash_file(f)] for f in folder.iterdir()}
    write_checkpoint(checkpoint, path)


def test_it_reads_as_a_whole_one(mesh, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    folder = write(path, mesh)
    assert sorted(file.name for file in folder.iterdir()) == ['.metadata', '__0_0.distcp']
    found = read_checkpoint(str(path))
    assert found.keys() == {'meta', 'message_hub', 'state_dict', 'optimizer'}
    assert list(found['state_dict']) == ['a.weight', 'count'] and found['state_dict']['count'] == 3
    assert found['state_dict']['a.weight'].equal(torch.ones(3, 2))
    assert found['optimizer']['state'][0]['mean'].equal(torch.arange(6.0).view(3, 2))
    sharded = read_checkpoint(str(path), mesh=mesh)['state_dict']['a.weight']
    assert isinstance(sharded, DTensor) and sharded.full_tensor().equal(torch.ones(3, 2))


def test_torch_reads_the_folder_too(mesh, tmp_path):
    folder, target = write(tmp_path / 'epoch_1.pth', mesh), {'state_dict.a.weight': torch.zeros(3, 2)}
    torch.distributed.checkpoint.load(target, checkpoint_id=folder)
    assert target['state_dict.a.weight'].equal(torch.ones(3, 2))


def test_writing_again_exchanges_both_at_once(mesh, tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'
    old = write(path, mesh)

    def crash(source, target):
        assert old.exists() and len(list(tmp_path.glob('*.shards'))) == 2
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patched:
        patched.setattr('soho.files.os.replace', crash)
        with pytest.raises(TrainingError, match=r'epoch_1\.pth could not be written \(No space left on device\)'):
            write(path, mesh, value=2.0)
    assert shards(path) == old and read_checkpoint(str(path))['state_dict']['a.weight'].equal(torch.ones(3, 2))
    assert write(path, mesh, value=2.0) != old and not old.exists()
    assert read_checkpoint(str(path))['state_dict']['a.weight'].equal(torch.full((3, 2), 2.0))
    remove_checkpoint(path)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_leaves_nothing(mesh, tmp_path, monkeypatch):
    path = tmp_path / 'epoch_1.pth'

    def refuse(*_, **__):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('torch.distributed.checkpoint.filesystem._write_item', refuse)
    with pytest.raises(TrainingError, match=r'epoch_1\.pth could not be written \(.*No space left on device\)'):
        write(path, mesh)
    assert not list(tmp_path.iterdir())


def test_shards_of_a_copy_stay_whatever_it_is_called(mesh, tmp_path):
    path, copy = tmp_path / 'epoch_1.pth', tmp_path / 'keep.pt'
    write(path, mesh)
    shutil.copy(path, copy)
    assert remove_lost_shards(tmp_path) == []
    remove_checkpoint(path)
    assert read_checkpoint(str(copy))['state_dict']['a.weight'].equal(torch.ones(3, 2))
    remove_checkpoint(copy)
    assert [file.suffix for file in tmp_path.iterdir()] == ['.shards']  # a copy has the folder of another name
    assert len(remove_lost_shards(tmp_path)) == 1


def test_what_a_killed_run_left_is_cleared_away_and_nothing_else(mesh, tmp_path):
    write(tmp_path / 'epoch_1.pth', mesh)
    write(tmp_path / 'epoch_2.pth', mesh)
    damaged = tmp_path / 'epoch_2.pth'
    damaged.write_bytes(damaged.read_bytes()[:-50])
    lost = ['epoch_1.0123456789abcdef.shards', 'epoch_3.0123456789abcdef.shards']
    for name in (*lost, 'mine.shards'):
        (tmp_path / name).mkdir()
    assert sorted(remove_lost_shards(tmp_path)) == lost
    assert len(list(tmp_path.glob('epoch_1.*.shards'))) == len(list(tmp_path.glob('epoch_2.*.shards'))) == 1
    assert (tmp_path / 'mine.shards').exists()


@pytest.mark.parametrize('harm', ['data', 'description', 'missing', 'folder'])
def test_a_damaged_one_is_passed_over_and_named(harm, mesh, tmp_path):
    write(tmp_path / 'epoch_1.pth', mesh)
    folder = write(tmp_path / 'epoch_2.pth', mesh, iteration=2)
    file = folder / ('.metadata' if harm == 'description' else '__0_0.distcp')
    if harm in ('data', 'description'):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        file.write_bytes(data)
    elif harm == 'missing':
        file.unlink()
    else:
        shutil.rmtree(folder)
    path, rejected = newest_checkpoint([tmp_path])
    said = 'is damaged: its shard' if harm in ('data', 'description') else 'is incomplete: its shard'
    assert path == str(tmp_path / 'epoch_1.pth') and said in rejected[str(tmp_path / 'epoch_2.pth')]
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(str(tmp_path / 'epoch_2.pth'))
    with pytest.raises(CheckpointError, match=said):
        read_checkpoint(str(tmp_path / 'epoch_2.pth'), mesh=mesh)


def test_values_that_are_no_numbers_are_passed_over(mesh, tmp_path):
    write(tmp_path / 'epoch_1.pth', mesh, value=float('nan'))
    with pytest.raises(UserError, match=r'epoch_1\.pth holds values that are no numbers, in state_dict\.a\.weight'):
        newest_checkpoint([tmp_path])


class Evil:
    """A pickle of it leaves a mark where it is read."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def read_description(folder):
    return pickle.loads((folder / '.metadata').read_bytes())


def rewrite(folder, change):
    """Change the description in a folder."""
    found = read_description(folder)
    changed = change(found)
    (folder / '.metadata').write_bytes(pickle.dumps(found if changed is None else changed))


def replace_chunk(folder, data):
    """Put other bytes in place of the first tensor's."""
    file = folder / '__0_0.distcp'
    info = next(info for index, info in read_description(folder).storage_data.items() if 'weight' in index.fqn)
    info.offset, info.length = file.stat().st_size, len(data)
    file.write_bytes(file.read_bytes() + data)

    def change(found):
        for index in found.storage_data:
            if 'weight' in index.fqn:
                found.storage_data[index] = info

    rewrite(folder, change)


def evil_description(folder, mark):
    rewrite(folder, lambda found: [found, Evil(mark)])


def evil_data(folder, mark):
    contents = io.BytesIO()
    torch.save(dict(x=torch.zeros(100)), contents)
    contents.seek(0)
    forged = io.BytesIO()
    with zipfile.ZipFile(contents) as source, zipfile.ZipFile(forged, 'w') as target:
        for name in source.namelist():
            target.writestr(name, pickle.dumps(Evil(mark), 2) if name.endswith('data.pkl') else source.read(name))
    replace_chunk(folder, forged.getvalue())


def evil_bytes(folder, mark):
    """torch unpickles what the description calls bytes."""
    replace_chunk(folder, pickle.dumps(Evil(mark)) + bytes(100))
    rewrite(folder, lambda found: found.state_dict_metadata.update({'state_dict.a.weight': dcp.BytesStorageMetadata()}))


def evil_old_data(folder, mark):
    replace_chunk(folder, pickle.dumps(Evil(mark)) + bytes(100))


@pytest.mark.parametrize('forge', [evil_description, evil_data, evil_bytes, evil_old_data])
def test_no_code_of_a_checkpoint_runs(forge, mesh, tmp_path):
    path, mark = tmp_path / 'epoch_1.pth', tmp_path / 'mark'
    forge(write(path, mesh), mark)
    reseal(path)
    for arguments in ({}, dict(mesh=mesh)):
        with pytest.raises(CheckpointError, match='epoch_1') as error:
            read_checkpoint(str(path), **arguments)
        assert len(str(error.value)) < 600 and '\n' not in str(error.value)
    with pytest.raises(UserError):
        newest_checkpoint([tmp_path])
    assert not mark.exists()
    pickle.loads(pickle.dumps(Evil(mark)))  # it would have left one
    assert mark.exists()


def other_file(found):
    for info in found.storage_data.values():
        info.relative_path = '../../secret.distcp'


def huge(found):
    entry = found.state_dict_metadata['state_dict.a.weight']
    entry.size = torch.Size([10**9, 10**6])
    entry.chunks[0].sizes = entry.size


def gap(found):
    found.state_dict_metadata['state_dict.a.weight'].chunks[0].sizes = torch.Size([2, 2])


def past_the_end(found):
    next(iter(found.storage_data.values())).offset = 10**9


def with_filter(found):
    next(iter(found.storage_data.values())).transform_descriptors = ['stream.zstd']


def no_tensors(found):
    found.state_dict_metadata.clear()


def only_a_list(found):
    return ['state_dict.a.weight']


def no_parts(found):
    found.storage_data.clear()


@pytest.mark.parametrize(
    'change', [other_file, huge, gap, past_the_end, with_filter, no_tensors, only_a_list, no_parts]
)
def test_a_description_that_does_not_agree_is_refused(change, mesh, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    rewrite(write(path, mesh), change)
    reseal(path)
    with pytest.raises(CheckpointError, match='epoch_1.pth is damaged: in the description of its shards'):
        read_checkpoint(str(path))


@pytest.mark.parametrize(
    'entry',
    [
        5,
        dict(folder='../x', files={}, tensors=[]),
        dict(folder='/etc/a.0123456789abcdef.shards'),
        dict(files={'.metadata': [1, 'a'], '../b': [1, 'a']}),
        dict(tensors=[['state_dict', 'a.weight'], 'x']),
        dict(tensors=[['state_dict', 'a.weight']] * 2),
    ],
)
def test_an_entry_that_says_something_else_is_refused(entry, mesh, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    write(path, mesh)
    checkpoint = read_header(str(path))
    checkpoint['shards'] = dict(checkpoint['shards'], **entry) if isinstance(entry, dict) else entry
    write_checkpoint(checkpoint, path)
    with pytest.raises(CheckpointError, match='epoch_1.pth is damaged: what it says of its shards'):
        read_checkpoint(str(path))


def test_a_tensor_without_a_place_is_refused(mesh, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    write(path, mesh)
    checkpoint = read_header(str(path))
    checkpoint['state_dict']['a.weight'] = torch.zeros(3, 2)
    write_checkpoint(checkpoint, path)
    with pytest.raises(CheckpointError, match='there is no place for its tensor state_dict.a.weight'):
        read_checkpoint(str(path))


def test_merging_makes_one_file(mesh, tmp_path, load_tool, capsys):
    path, out = tmp_path / 'epoch_1.pth', tmp_path / 'out' / 'whole.pth'
    write(path, mesh)
    tool = load_tool('convert/merge_shards')
    tool.main([str(path), str(out)])
    assert capsys.readouterr().out == f'{out}: 2 entries\n'
    assert read_header(str(out)).keys() == {'meta', 'message_hub', 'state_dict', 'optimizer'}
    tool.main([str(path), str(out), '--weights'])
    assert read_header(str(out)).keys() == {'meta', 'message_hub', 'state_dict'}
    assert torch.load(out)['state_dict']['a.weight'].equal(torch.ones(3, 2))
    shutil.rmtree(shards(path))
    with pytest.raises(SystemExit) as stopped:
        tool.main([str(path), str(out)])
    assert stopped.value.code == 1 and 'its shard' in capsys.readouterr().err
