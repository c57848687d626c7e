"""--resume: the newest sound checkpoint, whatever has become of the others, of the pointer and of the folder."""

import copy
import os
import shutil
import zipfile
from types import SimpleNamespace

import pytest
import torch

from soho.engine import Runner
from soho.engine.checkpoint.errors import CheckpointError
from soho.engine.checkpoint.newest import newest_checkpoint
from soho.engine.checkpoint.read import read_checkpoint, read_header
from soho.errors import UserError
from soho.locks import folder_lock


def save(path, iteration, number=0, value=1.0, **changes):
    checkpoint = dict(
        meta=dict(iter=iteration, epoch=0, save_number=number),
        state_dict=dict(weight=torch.full((100,), value)),
        message_hub={},
        optimizer={},
    )
    torch.save({key: value for key, value in (checkpoint | changes).items() if value is not None}, path)


def flip(path):
    data = bytearray(path.read_bytes())
    data[data.index(b'\0\0\x80\x3f' * 50) + 100] ^= 4  # in the weights: ones
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize('damage', [flip, cut, lambda path: path.write_bytes(b'')], ids=['flipped', 'cut', 'empty'])
def test_a_damaged_one_is_passed_over_and_named(damage, tmp_path):
    for i in (1, 2, 3):
        save(tmp_path / f'epoch_{i}.pth', 10 * i, i)
    damage(tmp_path / 'epoch_3.pth')
    path, rejected = newest_checkpoint([tmp_path])
    assert path == str(tmp_path / 'epoch_2.pth')
    assert (
        list(rejected) == [str(tmp_path / 'epoch_3.pth')]
        and 'epoch_3.pth is' in rejected[str(tmp_path / 'epoch_3.pth')]
    )


def held_by_itself():
    value = []
    value.append(value)
    return value


def shared(depth):
    return [shared(depth - 1)] * 10 if depth else 'x'


def nested(depth):
    return [nested(depth - 1)] if depth else 1


UNBOUNDED = dict(
    sparse=(torch.eye(3).to_sparse(), 'no tensor of plain numbers'),
    meta=(torch.ones(3, device='meta'), 'no tensor of plain numbers'),
    repeated=(torch.ones(1).expand(10**11), 'said to hold 400000000400 bytes, far more than the file'),
    cycle=(held_by_itself(), 'holds itself'),
    nested=(nested(100), 'more than 64 dicts and lists'),
    shared=([shared(9)], 'values in dicts and lists, more than 10000000'),
    bytes=(b'x', 'it asks for _codecs.encode'),
    bytearray=(bytearray(3), 'it asks for __builtin__.bytearray'),
)


@pytest.mark.parametrize('place', ['state_dict', 'optimizer', 'message_hub', 'meta'])
@pytest.mark.parametrize('what', UNBOUNDED)
def test_one_that_unfolds_without_bound_is_passed_over(what, place, tmp_path):
    value, message = UNBOUNDED[what]
    save(tmp_path / 'epoch_1.pth', 10, 1)
    meta = dict(iter=20, epoch=0, save_number=2)
    parts = dict(meta=meta, state_dict=dict(weight=torch.ones(100)), optimizer={}, message_hub={})
    parts[place] = dict(parts[place], odd=value)
    save(tmp_path / 'epoch_2.pth', 20, **parts)
    path, rejected = newest_checkpoint([tmp_path])
    assert path == str(tmp_path / 'epoch_1.pth')
    assert message in rejected[str(tmp_path / 'epoch_2.pth')]
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(str(tmp_path / 'epoch_2.pth'))


def repack(path, method=zipfile.ZIP_STORED, rename=str, times=1):
    """Write a file of torch again, compressed, under other names, or with parts that share their bytes."""
    with zipfile.ZipFile(path) as source:
        parts = {rename(name): source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, 'w', method) as target:
        for name, data in parts.items():
            target.writestr(name, data)
        largest = max(target.infolist(), key=lambda part: part.file_size)
        for number in range(times - 1):
            copied = copy.copy(largest)
            copied.filename = f'{largest.filename}{number}'
            target.filelist.append(copied)


@pytest.mark.parametrize('read', [read_checkpoint, read_header])
def test_parts_hold_no_more_than_their_file(read, tmp_path):
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        save(tmp_path / 'a.pth', 10)
        repack(tmp_path / 'a.pth', method)
        with pytest.raises(CheckpointError, match=r'its part \S+ is compressed'):
            read(str(tmp_path / 'a.pth'))
    save(tmp_path / 'a.pth', 10, state_dict=dict(weight=torch.ones(10_000)))
    repack(tmp_path / 'a.pth')
    read(str(tmp_path / 'a.pth'))
    repack(tmp_path / 'a.pth', times=3)
    with pytest.raises(CheckpointError, match='its parts say that they are larger than the file'):
        read(str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('damaged', [False, True])
def test_what_makes_bytes_is_found_as_torch_finds_it(damaged, tmp_path):
    """torch looks for names in capitals too, and at no checksum."""
    save(tmp_path / 'a.pth', 10, odd=bytearray(b'0123456789'))
    repack(tmp_path / 'a.pth', rename=str if damaged else str.upper)
    if damaged:
        data = (tmp_path / 'a.pth').read_bytes()
        (tmp_path / 'a.pth').write_bytes(data.replace(b'0123456789', b'1123456789'))
    with pytest.raises(CheckpointError, match='it asks for __builtin__.bytearray'):
        read_header(str(tmp_path / 'a.pth'))


def test_a_pipe_is_no_checkpoint(tmp_path):
    save(tmp_path / 'epoch_1.pth', 10)
    os.mkfifo(tmp_path / 'epoch_2.pth')
    assert newest_checkpoint([tmp_path]) == (str(tmp_path / 'epoch_1.pth'), {})


def test_weights_that_are_no_numbers_are_passed_over(tmp_path):
    save(tmp_path / 'epoch_1.pth', 10)
    save(tmp_path / 'epoch_2.pth', 20, value=float('nan'))
    path, rejected = newest_checkpoint([tmp_path])
    assert path.endswith('epoch_1.pth') and 'epoch_2.pth holds values that are no numbers' in next(
        iter(rejected.values())
    )


def test_what_holds_weights_alone_is_nothing_to_go_on_from(tmp_path):
    save(tmp_path / 'epoch_1.pth', 10)
    save(tmp_path / 'best_accuracy_epoch_2.pth', 20, optimizer=None)
    torch.save(dict(weight=torch.ones(2)), tmp_path / 'resnet.pth')
    (tmp_path / '.epoch_3.0123456789abcdef.tmp.pth').write_bytes(b'half')
    assert newest_checkpoint([tmp_path]) == (str(tmp_path / 'epoch_1.pth'), {})


def test_the_newest_is_the_last_that_was_written_and_not_the_farthest(tmp_path):
    """Who went back to the second epoch with another learning rate wants to go on from there."""
    save(tmp_path / 'epoch_5.pth', 50, number=5)
    save(tmp_path / 'epoch_3.pth', 30, number=6)
    assert newest_checkpoint([tmp_path])[0].endswith('epoch_3.pth')
    save(tmp_path / 'epoch_4.pth', 40, number=7)
    assert newest_checkpoint([tmp_path / 'nowhere', tmp_path])[0].endswith('epoch_4.pth')


def test_where_none_is_sound_nothing_begins_at_zero(tmp_path):
    assert newest_checkpoint([tmp_path]) == (None, {})
    save(tmp_path / 'epoch_1.pth', 10)
    cut(tmp_path / 'epoch_1.pth')
    with pytest.raises(
        UserError, match='holds no checkpoint to go on from, and is not empty: .*epoch_1.pth is damaged'
    ):
        newest_checkpoint([tmp_path])


def test_weights_alone_of_a_run_are_no_start_at_zero(tmp_path):
    """The state has gone, and what is left is the best checkpoint."""
    best = tmp_path / 'best_accuracy_epoch_2.pth'
    save(best, 20, optimizer=None)
    with pytest.raises(
        UserError, match=r'is not empty: \S+best_accuracy_epoch_2.pth is of a run, and holds weights wi'
    ):
        newest_checkpoint([tmp_path])
    assert newest_checkpoint([tmp_path], start=best) == (None, {})  # which the config begins with
    save(best, 20)  # with all that a run goes on from
    assert newest_checkpoint([tmp_path])[0] == str(best)


def test_weights_to_begin_with_are_no_checkpoint_of_a_run(tmp_path):
    torch.save(dict(weight=torch.ones(2)), tmp_path / 'resnet.pth')
    torch.save(dict(meta=dict(iter=7, epoch=1), state_dict={}), tmp_path / 'published-01234567.pth')
    assert newest_checkpoint([tmp_path]) == (None, {})


@pytest.fixture
def log(tmp_path):
    return lambda: ''.join(path.read_text() for path in sorted(tmp_path.glob('**/*.log')))


@pytest.mark.parametrize('harm', ['pointer', 'damage', 'move'])
def test_a_run_goes_on(harm, run_training, tmp_path, log):
    run_training('vqa', epochs=2)
    folder = tmp_path / 'run'
    if harm == 'pointer':
        (folder / 'last_checkpoint').unlink()
    elif harm == 'damage':
        cut(folder / 'epoch_2.pth')
    else:
        shutil.move(folder, tmp_path / 'moved')
        folder = tmp_path / 'moved'
    start = []
    resume = Runner.resume

    def watch(self, filename, *args):
        start.append(os.path.basename(filename))
        resume(self, filename, *args)

    Runner.resume = watch
    try:
        runner = run_training('vqa', epochs=3, work_dir=str(folder), resume='auto')
    finally:
        Runner.resume = resume
    assert runner.epoch == 3 and start == ['epoch_1.pth' if harm == 'damage' else 'epoch_2.pth']
    if harm == 'damage':
        assert 'epoch_2.pth is damaged' in log() and 'the run goes on from' in log()


def test_a_first_start_keeps_the_weights_to_begin_with(run_training, tiny_config, tmp_path):
    run_training('vqa', work_dir=str(tmp_path / 'first'))
    pretrained = tmp_path / 'first' / 'epoch_1.pth'
    runner = Runner.from_cfg(tiny_config('vqa', resume='auto', load_from=str(pretrained)))
    runner.load_or_resume()
    weights = torch.load(pretrained, weights_only=True)['state_dict']
    assert all(value.equal(weights[name]) for name, value in runner.model.state_dict().items())
    assert runner._resume is False


def test_averaged_weights_begin_with_those_of_another_layout(tiny_config, tmp_path):
    """mmengine's EMAHook looks for a state_dict in the file, and demands every entry of the model in it."""
    runner = Runner.from_cfg(tiny_config('vqa'))
    backbone = {name: value + 1 for name, value in runner.model.backbone.state_dict().items()}
    torch.save(backbone, tmp_path / 'resnet18.pth')
    cfg = tiny_config('vqa', load_from=str(tmp_path / 'resnet18.pth'), custom_hooks=[dict(type='EMAHook')])
    runner = Runner.from_cfg(cfg)
    runner.call_hook('before_run')
    runner.load_or_resume()
    hook = next(hook for hook in runner.hooks if type(hook).__name__ == 'EMAHook')
    averaged = hook.ema_model.module.state_dict()
    assert averaged['backbone.conv1.weight'].equal(backbone['conv1.weight'])
    assert all(value.equal(averaged[name]) for name, value in runner.model.state_dict().items())


def test_a_forked_process_does_not_keep_the_lock_of_a_killed_one(tmp_path):
    with folder_lock(tmp_path):
        child = os.fork()
        if child == 0:
            try:
                with folder_lock(tmp_path):
                    os._exit(1)
            except UserError:
                os._exit(0)  # the parent holds it
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    read, write = os.pipe()
    holder = os.fork()
    if holder == 0:
        with folder_lock(tmp_path):
            worker = os.fork()
            if worker == 0:
                os.read(read, 1)  # outlives the holder
                os._exit(0)
            os.kill(os.getpid(), 9)
    os.waitpid(holder, 0)
    with folder_lock(tmp_path):
        pass
    os.write(write, b'x')


def test_ranks_are_told_what_rank_zero_found(tmp_path):
    runner = SimpleNamespace(rank=0, _checkpoint_folders=lambda: [str(tmp_path)], _load_from=None)
    save(tmp_path / 'epoch_1.pth', 10)
    cut(tmp_path / 'epoch_1.pth')
    with pytest.raises(UserError, match='is not empty'):
        Runner._find_newest(runner)
