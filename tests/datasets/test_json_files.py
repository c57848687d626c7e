"""Streaming reads what json.load reads, says where a file is broken, and writes all or nothing."""

import hashlib
import json

import pytest
from msgspec import Struct

from soho.datasets.storage.json_files import (
    BrokenJSONError,
    MissingKeyError,
    enumerate_lines,
    load_json,
    load_members,
    stream_array,
    write_json,
    write_json_array,
    write_json_lines,
)
from soho.datasets.storage.json_records import read_members, stream_lines, stream_members, stream_records
from soho.errors import UserError


class Keyed(Struct):
    x: int


ITEMS = [
    {'a': [1, {'b': None}], 'text': 'a "quoted" \\ ] } , [ {'},
    -12.5e3,
    1234567,
    'é\u4e2d\U0001f600',
    True,
    [],
    {},
    'x' * 50,
]


def file(tmp_path, text, name='file.json'):
    path = tmp_path / name
    path.write_text(text, encoding='utf-8')
    return path


@pytest.mark.parametrize('window', [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize('form', [dict(), dict(indent=3), dict(ensure_ascii=False, separators=(',', ':'))])
def test_stream_equals_json_load(tmp_path, window, form):
    bare = file(tmp_path, json.dumps(ITEMS, **form))
    assert list(stream_array(bare, window=window)) == ITEMS
    members = {'before': [1, [2], {'items': 3}], 'info': {'items': []}, 'items': ITEMS, 'after': 1}
    inside = file(tmp_path, json.dumps(members, **form))
    assert list(stream_array(inside, 'items', window=window)) == ITEMS
    assert load_json(inside) == members


def test_empty_arrays_and_a_byte_order_mark(tmp_path):
    assert list(stream_array(file(tmp_path, '\ufeff [ ] '))) == []
    assert list(stream_array(file(tmp_path, '{"a": []}'), 'a')) == []


def test_reading_stops_behind_the_array(tmp_path):
    assert list(stream_array(file(tmp_path, '{"a": [1, 2], "b": broken'), 'a')) == [1, 2]


@pytest.mark.parametrize('window', [1, 5, 1 << 20])
@pytest.mark.parametrize(
    'text, message',
    [
        ('[1,\n 2\n 3]', r'file\.json is broken JSON at line 3, character 8: expected , or ]\.'),
        ('[1, nothing]', r'file\.json is broken JSON at line 1, character 4: Expecting value\.'),
        ('[{"a": 1}, {"a" 2}]', r'file\.json is broken JSON at line 1, character 16: Expecting .:. delimiter\.'),
        ('[1, 2', r'file\.json ends too early at line 1, character 5: expected , or ]\.'),
        ('[1, "abc', r'file\.json ends too early at line 1, character 4: Unterminated string starting at\.'),
        ('', r'file\.json ends too early at line 1, character 0: expected \[\.'),
    ],
)
def test_broken_json_names_file_and_place(tmp_path, window, text, message):
    with pytest.raises(BrokenJSONError, match=message):
        list(stream_array(file(tmp_path, text), window=window))


def test_items_before_the_fault_are_read(tmp_path):
    items = stream_array(file(tmp_path, '[1, 2, ?'))
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(BrokenJSONError):
        next(items)


def test_a_fault_is_found_without_reading_on(tmp_path):
    path = file(tmp_path, '[1, ?' + ' ' * 100_000)
    path.write_bytes(path.read_bytes() + b'\xff')  # would be the error if the rest were read
    with pytest.raises(BrokenJSONError, match='Expecting value'):
        list(stream_array(path, window=32))


def test_other_errors_are_sentences(tmp_path):
    path = file(tmp_path, '{"a": [{"x": 1}, {"y": 1}, 5], "c": 1}')
    with pytest.raises(MissingKeyError, match=r"file\.json has no key 'b'; it has 'a', 'c'\.") as caught:
        list(stream_array(path, 'b'))
    assert caught.value.key == 'b'
    with pytest.raises(MissingKeyError, match=r"Item 1 of 'a' in .*file\.json has no key 'x'; it has 'y'\."):
        list(stream_records(path, Keyed, 'a'))
    with pytest.raises(MissingKeyError, match=r'is an object where a list is expected\.'):
        list(stream_array(path))
    with pytest.raises(MissingKeyError, match=r"is a list where an object with 'a' is expected\."):
        list(stream_array(file(tmp_path, '[1]'), 'a'))
    with pytest.raises(UserError, match=r'Item 0 of the list in .* is 1, where an object is expected\.'):
        list(stream_records(file(tmp_path, '[1]'), Keyed))
    with pytest.raises(MissingKeyError, match=r"'b' in .*file\.json has no key 'x'; it has 'y'\."):
        list(stream_members(file(tmp_path, '{"a": {"x": 1}, "b": {"y": 1}}'), Keyed))
    with pytest.raises(MissingKeyError, match=r"Line 3 of .*file\.json has no key 'x'; it has 'y'\."):
        list(stream_lines(file(tmp_path, '{"x": 1}\n\n{"y": 1}'), Keyed))
    with pytest.raises(BrokenJSONError, match=r'is broken JSON at line 2: a number has thousands of digits\.'):
        list(stream_lines(file(tmp_path, '{"x": 1}\n' + '1' * 5000), Keyed))
    with pytest.raises(UserError, match=r"Item 0 of the list in .*: x is '1', where a whole number is expected\."):
        list(stream_records(file(tmp_path, '[{"x": "1"}]'), Keyed, strict=True))
    with pytest.raises(BrokenJSONError, match=r'character 8: expected the name of a member in quotation marks\.'):
        load_members(file(tmp_path, '{"a": 1,}'), 'a')
    with pytest.raises(BrokenJSONError, match=r'character 4: text behind the end\.'):
        load_json(file(tmp_path, '[1] 2'))
    with pytest.raises(FileNotFoundError, match=r'There is no file .*gone\.json\.'):
        load_json(tmp_path / 'gone.json')
    (tmp_path / 'latin.json').write_bytes('["é"]'.encode('latin-1'))
    with pytest.raises(BrokenJSONError, match=r'latin\.json is not UTF-8 text'):
        load_json(tmp_path / 'latin.json')


def test_what_is_written_is_read_back_and_hashed(tmp_path):
    path = tmp_path / 'new' / 'out.json'
    written = write_json_array(path, iter(ITEMS))
    assert load_json(path) == ITEMS
    assert written == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)
    write_json_array(path, iter(ITEMS), key='data', rest={'more': [1]})
    assert load_json(path) == {'data': ITEMS, 'more': [1]}
    write_json_array(path, [])
    assert load_json(path) == []
    write_json(path, {'a': 'é'})
    assert load_json(path) == {'a': 'é'}
    written = write_json_lines(path, iter(ITEMS))
    assert [item for _, item in enumerate_lines(path)] == ITEMS
    assert written == (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size)


def test_an_interrupted_write_changes_nothing(tmp_path):
    path = tmp_path / 'out.json'
    write_json(path, 'old')

    def items():
        yield 1
        raise ValueError('stopped')

    with pytest.raises(ValueError, match='stopped'):
        write_json_array(path, items())
    assert load_json(path) == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_an_object_whose_names_are_data_has_each_once(tmp_path):
    twice = file(tmp_path, '{"17": "red", "18": "blue", "17": "green"}')
    with pytest.raises(BrokenJSONError, match=r"file\.json has two members '17' in one object"):
        load_json(twice)
    with pytest.raises(UserError, match="has two members '17'"):
        read_members(file(tmp_path, '{"17": {"x": 1}, "17": {"x": 2}}'), Keyed, lambda record: record.x)
    with pytest.raises(BrokenJSONError, match="has two members 'yes' in one object"):
        load_members(file(tmp_path, '{"data": [], "ans2label": {"yes": 0, "no": 1, "yes": 1}}'), 'ans2label')
    with pytest.raises(BrokenJSONError, match="has two members 'a'"):
        load_members(file(tmp_path, '{"a": [], "a": []}'), 'a')
    assert read_members(file(tmp_path, '{"17": {"x": 1}}'), Keyed, lambda record: record.x) == {'17': 1}
