"""Tables of people: every form gives the same rows, and a fault is one sentence with its place."""

import json

import pytest

from soho.datasets.storage.tables import read_table
from soho.errors import UserError

ROWS = [dict(image='a.png', text='one, "two"'), dict(image='b.png', text='é\u2028\n')]
FORMS = {
    'a.csv': '\ufeffimage,text\r\na.png,"one, ""two"""\r\n\r\nb.png,"é\u2028\n"\r\n',
    'b.csv': '\ufeff"image";"text"\r\na.png;"one, ""two"""\r\n\r\nb.png;"é\u2028\n"\r\n',
    'a.TSV': 'image\ttext\na.png\t"one, ""two"""\nb.png\t"é\u2028\n"\n',
    'a.jsonl': '\ufeff' + '\n\n'.join(json.dumps(row, ensure_ascii=False) for row in ROWS),
    'a.json': '\ufeff' + json.dumps(ROWS, ensure_ascii=False),
}


@pytest.mark.parametrize('name', FORMS)
def test_every_form_gives_the_same_rows_with_their_place(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(FORMS[name].encode())
    where, rows = zip(*read_table(path))
    assert list(rows) == ROWS
    assert [place.removeprefix(f'{path}, ') for place in where] == {
        'a.csv': ['line 2', 'line 5'],
        'b.csv': ['line 2', 'line 5'],
        'a.TSV': ['line 2', 'line 4'],
        'a.jsonl': ['line 1', 'line 3'],
        'a.json': ['item 0', 'item 1'],
    }[name]


@pytest.mark.parametrize(
    ('name', 'header', 'encoding', 'given'),
    [
        ('a.txt', 'image\ttext', 'utf-16', None),  # Excel's "Unicode text"
        ('a.csv', 'image\ttext', 'utf-8', None),
        ('a.csv', '"a, b, c";image;text', 'cp1252', 'cp1252'),
        ('a.tsv', 'image,text', 'utf-8', None),
    ],
)
def test_what_spreadsheets_write_is_read(tmp_path, name, header, encoding, given):
    separator = next(mark for mark in ';\t,' if mark in header)
    row = dict.fromkeys(header.replace('"', '').split(separator), 'é')
    (tmp_path / name).write_text(f'{header}\r\n{separator.join(row.values())}\r\n', encoding=encoding)
    assert list(read_table(tmp_path / name, given)) == [(f'{tmp_path / name}, line 2', row)]


def test_short_and_long_rows_keep_their_columns(tmp_path):
    (tmp_path / 'a.csv').write_text('image,text\na.png\nb.png,x,y\n')
    assert [row for _, row in read_table(tmp_path / 'a.csv')] == [
        dict(image='a.png', text=None),
        dict(image='b.png', text='x'),
    ]


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        (
            'a.xlsx',
            b'x',
            r"a\.xlsx is no table: its name ends in '\.xlsx', not in \.csv, \.tsv, \.txt, \.jsonl, \.json\.",
        ),
        ('a.jsonl', b'{}\n\n[1]', r'a\.jsonl, line 3 is a list; a row is an object\.'),
        ('a.json', b'[{}, 1]', r'a\.json, item 1 is a int; a row is an object\.'),
        ('a.json', b'{"a": 1}', r'a\.json is an object where a list is expected\.'),
        ('a.jsonl', b'{"image": \n', r'a\.jsonl is broken JSON at line 1, character 1?[0-9] of it: Expecting value\.'),
        ('a.csv', b'image,answer,answer\n', r"a\.csv has the column 'answer' twice; give each a name of its own\."),
        ('a.csv', b'image\n\xff\n', r'a\.csv is not UTF-8 text; save it as UTF-8, in Excel as "CSV UTF-8"\.'),
        ('a.csv', b'image\n' + b'x' * 200_000, r'a\.csv is no csv at line 1: field larger than field limit'),
    ],
)
def test_a_fault_is_one_sentence(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(read_table(tmp_path / name))
