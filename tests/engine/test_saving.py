"""Checkpoints on disk: whole, or as they were before; one at every moment; never of values that are no numbers."""

import errno
import os
import random
import re
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from soho.engine import Runner
from soho.engine.checkpoint import save
from soho.engine.checkpoint.background import BackgroundWriter
from soho.engine.checkpoint.newest import newest_checkpoint
from soho.engine.checkpoint.read import CheckpointError, read_checkpoint
from soho.engine.checkpoint.save import nonfinite_tensors, write_checkpoint
from soho.errors import TrainingError, UserError
from soho.locks import folder_lock


def test_a_save_that_fails_leaves_the_old_checkpoint_whole(run_training, monkeypatch):
    runner = run_training(epochs=1)
    path = os.path.join(runner.work_dir, 'epoch_1.pth')
    before = read_checkpoint(path)

    def crash(source, target):
        if str(target).endswith('epoch_1.pth'):
            raise OSError(28, 'No space left on device')
        return replace(source, target)

    replace = os.replace
    monkeypatch.setattr('soho.files.os.replace', crash)
    with torch.no_grad():
        next(runner.model.parameters()).add_(1)
    with pytest.raises(
        TrainingError, match=r'epoch_1\.pth could not be written \(No space left on device\): make room'
    ):
        runner.save_checkpoint(runner.work_dir, 'epoch_1.pth')
    after = read_checkpoint(path)
    assert all(value.equal(before['state_dict'][name]) for name, value in after['state_dict'].items())
    assert not [name for name in os.listdir(runner.work_dir) if name.startswith('.')]


class FullDisk:
    """A file to which only so many bytes can be written."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def test_a_disk_that_fills_up_within_the_file_is_said_by_name(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    write_checkpoint(dict(x=torch.zeros(3)), path)
    monkeypatch.setattr(
        'soho.files.open', lambda *args, **options: FullDisk(open(*args, **options), 5000), raising=False
    )
    with pytest.raises(TrainingError, match=r'a\.pth could not be written \(No space left on device\)'):
        write_checkpoint(dict(x=torch.zeros(10_000)), path)
    assert read_checkpoint(str(path))['x'].shape == (3,) and os.listdir(tmp_path) == ['a.pth']


def test_a_damaged_directory_of_a_file_is_said(tmp_path):
    path = tmp_path / 'weights.pth'
    write_checkpoint(dict(state_dict=dict(a=torch.arange(5.0))), path)
    whole = path.read_bytes()
    for place in range(whole.index(b'PK\x01\x02'), len(whole)):
        for bit in (0, 3, 7):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            with suppress(CheckpointError):
                assert read_checkpoint(str(path))['state_dict']['a'].equal(torch.arange(5.0)), (place, bit)


def test_no_flipped_bit_is_read_as_other_weights(tmp_path):
    path, seed = tmp_path / 'a.pth', random.randrange(10**6)
    state = {f'layer.{i}': torch.randn(20, 20) for i in range(5)}
    write_checkpoint(dict(state_dict=state), path)
    sound, rng, noticed = path.read_bytes(), random.Random(seed), 0
    for _ in range(200):
        data, place = bytearray(sound), rng.randrange(8 * len(sound))
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            found = read_checkpoint(str(path))['state_dict']
        except CheckpointError as error:
            assert re.match(r'\S+a\.pth (is|holds) ', str(error))
            noticed += 1
        else:
            assert all(found[name].equal(value) for name, value in state.items()), f'seed {seed}, bit {place}'
    assert noticed > 150


def test_a_file_without_checksums_is_read(tmp_path):
    path = tmp_path / 'a.pth'
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(dict(x=torch.arange(3)), path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(str(path))['x'].tolist() == [0, 1, 2]


def test_nothing_that_is_no_number_is_saved(run_training):
    runner = run_training(epochs=1)
    next(runner.model.parameters()).data.fill_(float('nan'))
    with pytest.raises(TrainingError, match=r'x\.pth was not written: state_dict\.\S+ would hold values that are no'):
        runner.save_checkpoint(runner.work_dir, 'x.pth')
    assert not os.path.exists(os.path.join(runner.work_dir, 'x.pth'))


def test_constants_that_are_infinite_are_saved(tiny_config):
    cfg = tiny_config('vqa', epochs=1)
    runner = Runner.from_cfg(cfg)
    runner.model.register_buffer('mask', torch.tensor([0.0, float('-inf')]))
    runner.train()
    path, _ = newest_checkpoint([runner.work_dir])
    assert read_checkpoint(path)['state_dict']['mask'].tolist() == [0.0, float('-inf')]


def test_values_that_are_no_numbers_are_found_wherever_they_are():
    state = dict(
        a=torch.ones(2), b=[dict(c=torch.tensor(float('inf')), d=3, e=None)], f=torch.ones(2, dtype=torch.int64)
    )
    assert nonfinite_tensors(state, 'x') == ['x.b.0.c']


ITERATIONS = {'default_hooks.checkpoint': dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=1)}


def test_an_old_checkpoint_goes_only_when_the_new_one_stands(run_training, tmp_path, monkeypatch):
    there = []
    unlink = Path.unlink

    def watch(path, missing_ok=False):
        if path.suffix == '.pth' and path.exists() and not path.name.startswith('.'):
            there.append(sorted(other.name for other in path.parent.glob('[!.]*.pth')))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, 'unlink', watch)
    runner = run_training('vqa', iters=3, **ITERATIONS)
    assert there == [['iter_1.pth', 'iter_2.pth'], ['iter_2.pth', 'iter_3.pth']]
    assert sorted(path.name for path in Path(runner.work_dir).glob('*.pth')) == ['iter_3.pth']


def test_the_pointer_is_a_name_in_the_work_dir(run_training):
    runner = run_training('vqa', iters=1, **ITERATIONS)
    assert Path(runner.work_dir, 'last_checkpoint').read_text() == 'iter_1.pth'
    elsewhere = {'default_hooks.checkpoint.out_dir': os.path.join(runner.work_dir, 'kept')}
    run_training('vqa', iters=1, **ITERATIONS, **elsewhere)
    assert Path(runner.work_dir, 'last_checkpoint').read_text() == 'kept/run/iter_1.pth'


def test_the_best_checkpoint_is_replaced_after_the_state_names_the_new_one(
    run_training, tiny_config, tmp_path, monkeypatch
):
    cfg = tiny_config('vqa', epochs=2)
    validation = dict(
        val_dataloader=cfg.test_dataloader, val_evaluator=cfg.test_evaluator, val_cfg=dict(type='ValLoop')
    )
    scores = iter([1.0, 2.0])
    monkeypatch.setattr('soho.evaluation.vqa.VQAAccuracy.compute_metrics', lambda *_: dict(accuracy=next(scores)))
    steps = []
    replace, unlink = os.replace, Path.unlink
    monkeypatch.setattr('soho.files.os.replace', lambda a, b: steps.append(f'+{Path(b).name}') or replace(a, b))
    monkeypatch.setattr(
        Path,
        'unlink',
        lambda path, missing_ok=False: (
            (steps.append(f'-{path.name}') if path.exists() else None) or unlink(path, missing_ok)
        ),
    )
    best = {'default_hooks.checkpoint': dict(type='CheckpointHook', save_best='accuracy', rule='greater')}
    runner = run_training('vqa', epochs=2, **validation, **best)
    steps = [step for step in steps if step.endswith('.pth') and not step.startswith('-.')]
    first, second = 'best_accuracy_epoch_1.pth', 'best_accuracy_epoch_2.pth'
    assert steps[-4:] == ['+epoch_2.pth', f'+{second}', '+epoch_2.pth', f'-{first}']
    info = read_checkpoint(os.path.join(runner.work_dir, 'epoch_2.pth'))['message_hub']['runtime_info']
    assert info['best_ckpt'] == second and info['best_score'] == 2.0


def test_what_a_killed_run_was_writing_is_cleared_away(run_training, tmp_path):
    (tmp_path / 'run').mkdir()
    left, mine = tmp_path / 'run' / '.epoch_1.0123456789abcdef.tmp.pth', tmp_path / 'run' / '.mine.tmp.pth'
    left.write_bytes(b'half'), mine.write_bytes(b'whole')
    run_training('vqa', iters=1)
    assert not left.exists() and mine.exists()


def test_a_work_dir_has_one_run_at_a_time(tiny_config, tmp_path):
    runner = Runner.from_cfg(tiny_config('vqa', iters=1))
    with folder_lock(runner.work_dir):
        with pytest.raises(ValueError, match=rf'run is in use by another run \(process {os.getpid()} on \S+\): wait'):
            runner.train()
    Runner.from_cfg(tiny_config('vqa', iters=1)).train()
    assert not (tmp_path / 'run' / '.lock').exists()


def test_a_run_that_is_refused_leaves_the_work_dir_as_it_was(tiny_config, tmp_path):
    folder = tmp_path / 'run'
    folder.mkdir()
    (folder / 'recipe.py').write_text('of the run that trains')
    cfg = tiny_config('vqa', iters=1)
    vars(cfg).update(_filename=str(tmp_path / 'recipe.py'))
    with folder_lock(folder):
        before = sorted(path.name for path in folder.rglob('*'))
        with pytest.raises(ValueError, match='run is in use by another run'):
            Runner.from_cfg(cfg, ('train',))
        assert sorted(path.name for path in folder.rglob('*')) == before
        Runner.from_cfg(tiny_config('vqa'))  # as a test does
        assert (folder / 'recipe.py').read_text() == 'of the run that trains'
    Runner.from_cfg(cfg, ('train',)).train()
    assert 'train_dataloader' in (folder / 'recipe.py').read_text() and not (folder / '.lock').exists()


@pytest.mark.parametrize('below', ['', 'runs/first'])
@pytest.mark.parametrize('key', ['work_dir', 'out_dir'])
def test_a_file_is_no_folder_to_write_to(key, below, tiny_config, tmp_path):
    file = tmp_path / 'file'
    file.write_text('')
    cfg = tiny_config('vqa')
    if key == 'work_dir':
        cfg.work_dir = str(file / below)
    else:
        cfg.default_hooks.checkpoint = dict(type='CheckpointHook', out_dir=str(file / below))
    with pytest.raises(UserError, match='file is none: name another one'):
        Runner.from_cfg(cfg, ('train',)).train()
    assert file.read_text() == ''


def test_a_folder_of_checkpoints_has_one_run_at_a_time(tiny_config, tmp_path):
    """Of two work dirs with one name."""
    out = {'default_hooks.checkpoint': dict(type='CheckpointHook', out_dir=str(tmp_path / 'kept'))}
    runners = [Runner.from_cfg(tiny_config('vqa', iters=1, work_dir=str(tmp_path / n / 'run'), **out)) for n in 'ab']
    (tmp_path / 'kept' / 'run').mkdir(parents=True)
    with folder_lock(tmp_path / 'kept' / 'run'):
        with pytest.raises(ValueError, match=r'kept/run is in use by another run'):
            runners[0].train()
    assert not (tmp_path / 'a' / 'run' / '.lock').exists()
    runners[1].train()


def test_beginning_anew_beside_checkpoints_is_said(run_training, tmp_path):
    run_training('vqa', epochs=1)
    run_training('vqa', epochs=1)
    logs = ''.join(path.read_text() for path in (tmp_path / 'run').glob('*/*.log'))
    assert 'holds checkpoints of an earlier run, epoch_1.pth the newest; this run begins anew' in logs


class Gate:
    """Holds what writes checkpoints up until it is opened."""

    def __init__(self, monkeypatch):
        self.open = threading.Event()
        write = save.write_checkpoint

        def wait(checkpoint, path):
            assert self.open.wait(60)
            write(checkpoint, path)

        monkeypatch.setattr('soho.engine.checkpoint.background.write_checkpoint', wait)


def test_what_is_written_in_the_background_is_what_there_was(tmp_path, monkeypatch):
    gate, path, twice = Gate(monkeypatch), tmp_path / 'a.pth', torch.zeros(3)
    gone = tmp_path / 'old.pth'
    gone.touch()
    with BackgroundWriter() as writer:
        writer.write(dict(a=twice, b=twice[1:], c=[0]), path)
        writer.submit(gone.unlink)
        twice += 1
        assert gone.exists() and not path.exists()
        gate.open.set()
    found = read_checkpoint(str(path))
    assert not found['a'].any() and not found['b'].any() and not gone.exists()
    assert found['a'].untyped_storage().data_ptr() == found['b'].untyped_storage().data_ptr()


def test_one_checkpoint_is_written_at_a_time(tmp_path, monkeypatch):
    gate = Gate(monkeypatch)
    with BackgroundWriter() as writer:
        writer.write(dict(a=1), tmp_path / '1.pth')
        threading.Timer(0.2, gate.open.set).start()
        writer.write(dict(a=2), tmp_path / '2.pth')
        assert (tmp_path / '1.pth').exists()
    assert read_checkpoint(str(tmp_path / '2.pth'))['a'] == 2


def test_a_failure_in_the_background_ends_the_training(tiny_config, monkeypatch):
    def full(checkpoint, path):
        raise TrainingError(f'the checkpoint {path} could not be written (No space left on device)')

    monkeypatch.setattr('soho.engine.checkpoint.background.write_checkpoint', full)
    runner = Runner.from_cfg(tiny_config('vqa', iters=4, **ITERATIONS))
    with pytest.raises(TrainingError, match=r'iter_1\.pth could not be written'):
        runner.train()
    assert runner.iter < 4 and not list(Path(runner.work_dir).glob('*.pth'))
    assert not Path(runner.work_dir, 'last_checkpoint').exists()  # which would have followed


def test_a_failure_of_the_last_save_is_no_success(tiny_config, monkeypatch):
    write = save.write_checkpoint

    def full(checkpoint, path):
        if str(path).endswith('iter_2.pth'):
            raise TrainingError(f'the checkpoint {path} could not be written (No space left on device)')
        write(checkpoint, path)

    monkeypatch.setattr('soho.engine.checkpoint.background.write_checkpoint', full)
    with pytest.raises(TrainingError, match=r'iter_2\.pth could not be written'):
        Runner.from_cfg(tiny_config('vqa', iters=2, **ITERATIONS)).train()
