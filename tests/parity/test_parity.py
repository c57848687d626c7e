"""Recorded values of the official SOHO code, and the tool that compares with them."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity import check_file
from tests.parity.fill import fill

pytestmark = pytest.mark.parity
DATA = Path(__file__).resolve().parents[1] / 'data' / 'parity'
FILES = sorted(path.name for path in DATA.iterdir() if path.suffix in ('.npz', '.json'))


def changed(tmp_path, source, **values):
    """A copy of a fixture with some arrays replaced or added."""
    with np.load(DATA / source) as file:
        arrays = {name: file[name] for name in file.files}
    path = tmp_path / 'copy'  # neither name nor suffix says what it is
    with open(path, 'wb') as file:
        np.savez(file, **{**arrays, **values})
    return path


@pytest.mark.parametrize('name', FILES)
def test_every_recorded_value_is_matched(name):
    fixture = check_file(str(DATA / name))
    assert fixture.rows
    assert not [row for row in fixture.rows if not row.passed]


def test_a_value_beyond_its_limit_fails_alone(tmp_path):
    with np.load(DATA / 'dictionary.npz') as file:
        wrong = file['cold04/step1_embed'].copy()
    wrong[3, 5] += 1e-3
    rows = check_file(str(changed(tmp_path, 'dictionary.npz', **{'cold04/step1_embed': wrong}))).rows
    assert [row.name for row in rows if not row.passed] == ['cold04/step1_embed']
    assert next(row for row in rows if not row.passed).absolute == pytest.approx(1e-3, rel=1e-2)


def test_a_value_that_nobody_looks_at_fails(tmp_path):
    rows = check_file(str(changed(tmp_path, 'dictionary.npz', **{'cold04/news': np.zeros(3)}))).rows
    assert [(row.name, row.note) for row in rows if not row.passed] == [('cold04/news', 'not checked')]


def test_a_file_of_no_known_kind_is_refused(tmp_path):
    path = tmp_path / 'fixture.json'
    path.write_text(json.dumps(dict(colour='blue')))
    with pytest.raises(ValueError, match='is of no known kind; it begins with colour'):
        check_file(str(path))


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / 'fixture.npz'
    path.write_bytes((DATA / 'dictionary.npz').read_bytes()[:5000])
    with pytest.raises(ValueError, match='is no readable npz or json file'):
        check_file(str(path))


def test_without_the_vocabulary_tokens_count_as_not_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('SOHO_BERT', raising=False)
    path = tmp_path / 'text.json'
    path.write_text((DATA / 'text.json').read_text())
    rows = check_file(str(path)).rows
    assert rows and not any(row.passed for row in rows)
    assert 'give its vocab.txt by --vocab' in rows[0].note
    assert all(row.passed for row in check_file(str(path), vocab=str(DATA / 'cut-vocabulary')).rows)


def test_the_tool_exits_1_on_failure_only(load_tool, tmp_path, capsys):
    main = load_tool('analysis/parity').main
    assert main([str(DATA / 'sampler.json'), str(DATA / 'grouping.json')]) == 0
    table = capsys.readouterr().out
    assert 'indices_per_rank' in table and 'all values agree' in table
    wrong = json.loads((DATA / 'sampler.json').read_text())
    wrong[0]['indices_per_rank'][0][:2] = wrong[0]['indices_per_rank'][0][1::-1]
    path = tmp_path / 'wrong.json'
    path.write_text(json.dumps(wrong))
    assert main([str(DATA / 'sampler.json'), str(path)]) == 1
    assert 'FAIL' in capsys.readouterr().out
    assert main([str(tmp_path / 'missing.npz')]) == 1


def test_filled_weights_never_change():
    assert fill('neck.conv.bn.running_var', (2,), 0).tolist() == pytest.approx([1.3097093, 1.1068851], rel=1e-6)
    assert fill('neck.conv.conv.weight', (1, 2, 1, 1), 3).ravel().tolist() == pytest.approx(
        [0.2612421, 0.3572327], rel=1e-6
    )
    assert fill('bn.num_batches_tracked', ()).dtype == np.int64
