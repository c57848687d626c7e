"""Curves from the logs of a run, also of one that was interrupted and resumed."""

import json

import pytest

from soho.errors import UserError
from soho.visualization.training_curves import read_curves, smooth


def write(work_dir, attempt, rows):
    path = work_dir / attempt / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def train(step, epoch, loss):
    return dict(lr=1e-3, data_time=0.1, loss=loss, time=0.5, epoch=epoch, iter=step, step=step)


def test_resumed_attempt_replaces_what_it_did_again(tmp_path):
    write(
        tmp_path,
        '20260101_000000',
        [train(10, 1, 4.0), dict(accuracy=20.0, time=1.0, data_time=0.1, step=1), train(20, 2, 3.0)],
    )
    write(
        tmp_path,
        '20260101_000100',
        [train(20, 2, 2.5), dict(accuracy=40.0, time=1.0, data_time=0.1, step=2), train(30, 3, 2.0)],
    )
    curves = read_curves(tmp_path)
    assert curves.training == dict(loss=[(10, 4.0), (20, 2.5), (30, 2.0)])
    assert curves.held_out == dict(accuracy=[(1, 20.0), (2, 40.0)])
    assert curves.held_out_unit == 'epoch'
    assert curves.last() == dict(loss=2.0, accuracy=40.0)


def test_held_out_figure_counts_before_the_training_one(tmp_path):
    write(tmp_path, '20260101_000000', [dict(lr=1e-3, loss_mlm=1.0, step=10, iter=10), dict(loss_mlm=1.5, step=10)])
    curves = read_curves(tmp_path)
    assert curves.last() == dict(loss_mlm=1.5)
    assert curves.held_out_unit == 'iteration'


def test_run_without_logs_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match='no training was logged there'):
        read_curves(tmp_path)


def test_a_line_that_was_cut_is_left_out_at_the_end_and_refused_elsewhere(tmp_path):
    write(tmp_path, '20260101_000000', [train(10, 1, 4.0), train(20, 2, 3.0)])
    path = tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.write_text(path.read_text()[:-20])
    assert read_curves(tmp_path).training == dict(loss=[(10, 4.0)])
    path.write_text('{"lr": 1\n' + path.read_text())
    with pytest.raises(UserError, match=r'line 1 of .*scalars\.json is no JSON'):
        read_curves(tmp_path)


def test_a_running_mean_keeps_the_places_and_what_is_level():
    points = [(10, 0.0), (20, 3.0), (30, 0.0), (40, 3.0), (50, 3.0)]
    assert smooth(points, 3) == [(10, 1.5), (20, 1.0), (30, 2.0), (40, 2.0), (50, 3.0)]
    assert smooth(points, 0) == points and smooth([], 3) == []
