"""Checkpoints on disk: whole, or as they were before."""

import os

import pytest
import torch

from soho.engine.checkpoint.read import read_checkpoint


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
    with pytest.raises(OSError, match='No space left'):
        runner.save_checkpoint(runner.work_dir, 'epoch_1.pth')
    after = read_checkpoint(path)
    assert all(value.equal(before['state_dict'][name]) for name, value in after['state_dict'].items())
    assert not [name for name in os.listdir(runner.work_dir) if name.startswith('.')]
