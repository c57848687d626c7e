"""Runs side by side: tools/analysis/analyze_logs.py."""

import json

import pytest

from soho.visualization.run_comparison import compare_charts, metric_names, read_runs


def write_run(folder, losses, accuracy=None, seconds=0.5):
    log = folder / '20260101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    rows = [dict(lr=1.0, loss=loss, time=seconds, epoch=1, iter=i, step=i) for i, loss in enumerate(losses, start=1)]
    rows += [] if accuracy is None else [dict(accuracy=accuracy, time=1.0, step=1)]
    log.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    return str(folder)


@pytest.fixture
def two_runs(tmp_path):
    return [write_run(tmp_path / 'a', [3.0, 2.0], 40.0), write_run(tmp_path / 'b', [3.0, 1.0], seconds=0.25)]


def test_table_of_last_figures_and_step_times(load_tool, two_runs, capsys):
    load_tool('analysis/analyze_logs').main(two_runs)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ['run', 'loss', 'accuracy', 'seconds', 'a', 'step'],
        ['a', '2', '40', '0.500'],
        ['b', '1', '–', '0.250'],
    ]


def test_chart_has_a_line_a_run(load_tool, two_runs, tmp_path):
    out = tmp_path / 'curves.html'
    load_tool('analysis/analyze_logs').main([*two_runs, '--keys', 'loss', '--out', str(out)])
    page = out.read_text(encoding='utf-8')
    assert page.count('<svg') == 1 and 'loss, training batches' in page
    assert 'a 2<' in page and 'b 1<' in page  # the legend ends with the last value


def test_more_runs_than_colours_take_another_chart(tmp_path):
    runs = read_runs([write_run(tmp_path / str(i), [1.0, float('nan')]) for i in range(5)])
    assert len(compare_charts(runs, metric_names(runs))) == 2


def test_a_key_that_nobody_logged_is_one_sentence(load_tool, two_runs):
    with pytest.raises(SystemExit, match="no run logged 'los'; they logged accuracy, loss"):
        load_tool('analysis/analyze_logs').main([*two_runs, '--keys', 'los'])
