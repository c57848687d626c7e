"""A manifest knows when nothing has to be done, and only then."""

import os

import pytest

from soho.datasets.storage.json_files import load_json, write_json
from soho.datasets.storage.manifest import Manifest, find_input


@pytest.fixture
def make(tmp_path):
    """A function that makes the manifest of a tool that reads ``in.json`` and writes ``out.json``."""
    source = tmp_path / 'in.json'
    source.write_text('[1]')

    def manifest(**arguments):
        return Manifest(tmp_path, 'tool', arguments, [source])

    first = manifest(x=1)
    assert first.counts_if_current() is None
    first.write({'out.json': write_json(tmp_path / 'out.json', [1, 2])}, {'images': 2})
    return manifest


def test_current_until_something_changes(tmp_path, make):
    assert make(x=1).counts_if_current() == {'images': 2}
    assert make(x=2).counts_if_current() is None

    os.utime(tmp_path / 'in.json', ns=(1, 1))
    assert make(x=1).counts_if_current() == {'images': 2}
    (tmp_path / 'in.json').write_text('[2]')
    os.utime(tmp_path / 'in.json', ns=(1, 1))
    assert make(x=1).counts_if_current() is None


@pytest.mark.parametrize('damage', [lambda path: path.unlink(), lambda path: path.write_text('[1]')])
def test_a_lost_or_changed_output_is_made_again(tmp_path, make, damage):
    damage(tmp_path / 'out.json')
    assert make(x=1).counts_if_current() is None


@pytest.mark.parametrize('text', ['{', '[]', '{}'])
def test_a_broken_manifest_is_made_again(tmp_path, make, text):
    (tmp_path / 'prepare_tool.json').write_text(text)
    assert make(x=1).counts_if_current() is None


def test_holds_arguments_inputs_and_checksums(tmp_path, make):
    record = load_json(tmp_path / 'prepare_tool.json')
    assert record['arguments'] == {'x': 1}
    assert record['inputs'][str(tmp_path / 'in.json')]['bytes'] == 3
    assert record['outputs']['out.json']['bytes'] == 6
    assert len(record['outputs']['out.json']['sha256']) == 64


def test_missing_input(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'There is no file .*gone\.json\.'):
        Manifest(tmp_path, 'tool', {}, [tmp_path / 'gone.json'])


def test_find_input_looks_in_the_root_first(tmp_path):
    (tmp_path / 'annotations').mkdir()
    for name in ('a.json', 'annotations/a.json', 'annotations/b.json'):
        (tmp_path / name).touch()
    assert find_input(tmp_path, 'a.json') == tmp_path / 'a.json'
    assert find_input(tmp_path, 'none.json', 'b.json', 'a.json') == tmp_path / 'annotations' / 'b.json'
    assert find_input(tmp_path, 'none.json') is None
