"""The commands that ask models: images, folders and tables; runs that were interrupted go on."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import soho
from soho import __main__ as command
from soho.apis import commands, doctor, tables
from soho.errors import UserError

QUESTION = 'Is there a star?'


@pytest.fixture(scope='module')
def vqa():
    """The model that ships, which the commands ask by default."""
    return soho.load('soho_vqa_synthetic', device='cpu')


@pytest.fixture(autouse=True)
def _one_model(vqa, monkeypatch):
    """Commands get the models that are there already, and leave the settings of the process alone."""
    extractor = soho.FeatureExtractor('soho_vqa_synthetic', device='cpu') if _one_model.extractor is None else None
    _one_model.extractor = _one_model.extractor or extractor
    kinds = dict(VQA=vqa, FeatureExtractor=_one_model.extractor)
    monkeypatch.setattr(commands, 'load_model', lambda args, kind: kinds[kind])


_one_model.extractor = None


@pytest.fixture
def album(tmp_path):
    """Three pictures, one of them broken."""
    rng = np.random.default_rng(0)
    folder = tmp_path / 'album'
    folder.mkdir()
    for name in ('a.png', 'c.png'):
        Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / name)
    (folder / 'b.jpg').write_bytes(b'no picture')
    return folder


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_question_about_one_image(album, vqa, capsys):
    command.main(['ask', f'{album}/a.png', QUESTION, '--top', '2'])
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert printed == [[a['answer'], f'{a["score"]:.3f}'] for a in vqa(album / 'a.png', QUESTION, top_k=2)]


def test_an_option_may_stand_between_picture_and_question(album, vqa, capsys):
    command.main(['ask', f'{album}/a.png', '--top', '1', QUESTION])
    assert capsys.readouterr().out.split()[0] == vqa(album / 'a.png', QUESTION)[0]['answer']


def test_a_folder_goes_on_where_it_was_interrupted(album, vqa, tmp_path, capsys):
    out = tmp_path / 'answers.jsonl'
    command.main(['ask', str(album), QUESTION, '--out', str(out)])
    whole = lines(out)
    assert [row['image'] for row in lines(out)] == ['a.png', 'b.jpg', 'c.png']
    assert 'error' in lines(out)[1] and '3 rows, 1 of them with an error' in capsys.readouterr().err
    assert lines(out)[2]['answers'][0]['answer'] == vqa(album / 'c.png', QUESTION)[0]['answer']
    first = dict(whole[0], answers=[])  # changed, so that it is seen whether it is asked again
    out.write_text(json.dumps(first) + '\n{"image": "b.jp')  # cut off within the second
    command.main(['ask', str(album), QUESTION, '--out', str(out)])
    again = lines(out)
    assert again[:2] == [first, whole[1]] and again[2]['answers'][0]['answer'] == whole[2]['answers'][0]['answer']
    with pytest.raises(
        SystemExit, match="holds other results: its line 1 is not of {'image': 'a.png', 'question': 'Why"
    ):
        command.main(['ask', str(album), 'Why?', '--out', str(out)])
    with pytest.raises(SystemExit, match="holds other results: .* 'model': 'other'"):
        command.main(['ask', str(album), QUESTION, '--out', str(out), '--model', 'other'])


def test_tables(album, vqa, capsys):
    rows = [
        dict(image='a.png', question=QUESTION),
        dict(image='a.png', question='What color is the circle?'),
        dict(image='b.jpg', question=QUESTION),
        dict(image='b.jpg', question='Why?'),
        dict(image='c.png', question='How many shapes are there?'),
    ]
    table = album / 'questions.csv'
    with open(table, 'w', newline='') as file:
        writer = csv.DictWriter(file, ['image', 'question'])
        writer.writeheader()
        writer.writerows(rows)
    command.main(['ask', str(table), '--top', '1'])
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{key: row[key] for key in rows[0]} for row in printed] == rows
    assert ['error' in row for row in printed] == [False, False, True, True, False]
    for row in printed:
        if row['image'] != 'b.jpg':
            assert row['answers'][0]['answer'] == vqa(album / row['image'], row['question'])[0]['answer']
    other = album.parent / 'questions.jsonl'
    other.write_text('\n'.join(json.dumps(row) for row in rows))
    assert tables.read_rows(str(other), str(album), question=None) == [
        dict(row, image=str(album / row['image']), name=row['image'], others={}) for row in rows
    ]


def test_results_keep_the_other_columns_of_a_table(album, tmp_path):
    table, out = album / 'questions.csv', tmp_path / 'out.jsonl'
    table.write_text(f'id,image,question,answers,note\n7,a.png,{QUESTION},yes,ä\n8,b.jpg,{QUESTION},no,\n')
    command.main(['ask', str(table), '--out', str(out)])
    first, broken = lines(out)
    assert (first['id'], first['input_answers'], first['note']) == ('7', 'yes', 'ä') and len(first['answers']) == 5
    assert broken['id'] == '8' and 'cannot be decoded' in broken['error']
    command.main(['ask', str(table), '--out', str(out)])  # nothing is left to do
    assert lines(out) == [first, broken]


def test_results_are_lines_of_json(album, capsys):
    with pytest.raises(SystemExit):
        command.main(['ask', str(album), QUESTION, '--out', 'o.csv'])
    assert 'o.csv does not end in .jsonl: results are a line of json a row' in capsys.readouterr().err


def test_one_row_is_not_rows(album, tmp_path, capsys):
    command.main(['ask', f'{album}/a.png', QUESTION, '--out', f'{tmp_path}/o.jsonl'])
    assert capsys.readouterr().err.endswith('o.jsonl: 1 row\n')


@pytest.mark.parametrize(
    'name, text, sentence',
    [
        ('a.csv', 'image\na.png\n', r"a\.csv, line 2 has no 'question': give one on the command line or in a column"),
        (
            'a.csv',
            'picture,question\na.png,b\n',
            r"line 2 has no 'image', the path of a picture; it has 'picture', 'quest",
        ),
        ('a.csv', 'image,question\n', 'has no rows'),
        ('nothing/a.csv', None, 'there is no table .*nothing/a.csv'),
        ('nothing/a.png', None, 'there is no image .*nothing/a.png'),
        ('a.jsonl', '[1]\n', r'a\.jsonl, line 1 is a list; a row is an object'),
        ('a.jsonl', '{"image": "a.png"\n', r'a\.jsonl is broken JSON at line 1'),
    ],
)
def test_tables_that_cannot_be_read(name, text, sentence, tmp_path):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=sentence):
        tables.read_rows(str(tmp_path / name), question=None)


def test_features_go_on_where_they_were_interrupted(album, tmp_path, monkeypatch, capsys):
    extractor, out = _one_model.extractor, tmp_path / 'x.npy'
    monkeypatch.setattr(commands, 'CHUNK', 1)
    extract, calls = extractor.extract, []

    def interrupted(images, *args, **options):
        calls.append(images)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return extract(images, *args, **options)

    monkeypatch.setattr(extractor, 'extract', interrupted)
    with pytest.raises(SystemExit):
        command.main(['features', str(album), '--out', str(out)])
    assert not out.exists()
    command.main(['features', str(album), '--out', str(out)])
    assert len(calls) == 4 and not (tmp_path / 'x.npy.part').exists()
    vectors, names = np.load(out), json.loads((tmp_path / 'x.json').read_text())
    assert names == ['a.png', 'b.jpg', 'c.png'] and vectors.dtype == np.float32
    assert np.isnan(vectors).all(1).tolist() == [False, True, False] and 'b.jpg' in capsys.readouterr().err
    np.testing.assert_allclose(vectors[0], next(extract([album / 'a.png'])), atol=1e-6)


def test_a_map_is_written(album, tmp_path):
    command.main(['ask', f'{album}/a.png', QUESTION, '--explain', f'{tmp_path}/map.png'])
    assert min(Image.open(tmp_path / 'map.png').size) == 384
    with pytest.raises(SystemExit, match='error: --explain draws one picture: give one image'):
        command.main(['ask', str(album), QUESTION, '--explain', f'{tmp_path}/map.png'])


def test_models_are_listed(capsys):
    command.main(['models', 'vqa'])
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ['soho_vqa_synthetic', 'shipped'] in [line[:2] for line in printed]
    states = [line[1] for line in printed]
    assert states[-1] == 'no' and states == sorted(states, key=['shipped', 'download', 'no'].index)
    with pytest.raises(SystemExit, match="error: no model is called like 'nothing'"):
        command.main(['models', 'nothing'])


def test_doctor(capsys, monkeypatch):
    monkeypatch.delenv('SOHO_BERT', raising=False)
    command.main(['doctor'])
    said = capsys.readouterr().out
    for name in ('python', 'torch', 'cpu', 'sentencepiece', 'soho[app]', 'soho_vqa_synthetic', 'SOHO_BERT'):
        assert any(line.split()[1] == name for line in said.splitlines() if line), name
    assert said.endswith('All that soho needs is here.\n')
    monkeypatch.setenv('SOHO_BERT', '/nowhere')
    with pytest.raises(SystemExit):
        command.main(['doctor'])
    assert 'MISSING SOHO_BERT' in (said := capsys.readouterr().out) and 'Not all of soho works: SOHO_BERT' in said


def test_doctor_knows_what_an_extra_lacks(monkeypatch):
    requires = ['nothing-like-it>=1; extra == "app"', 'numpy>=2; extra == "timm"']
    monkeypatch.setattr(doctor.metadata, 'requires', lambda name: requires)
    found = {what: (state, text) for state, what, text in doctor.check_packages()}
    assert found['soho[app]'] == (
        doctor.NOTE,
        'lacks nothing-like-it: pip install nothing-like-it (the web page of `soho app`)',
    )
    assert found['soho[timm]'][0] == doctor.OK
    assert found['soho[eval]'][0] == doctor.NOTE and 'is not known to this installation' in found['soho[eval]'][1]


def test_predict_is_the_same(album, vqa, load_tool, capsys):
    load_tool('predict').main(['ask', f'{album}/a.png', QUESTION, '--top', '1'])
    assert capsys.readouterr().out.split()[0] == vqa(album / 'a.png', QUESTION)[0]['answer']
    with pytest.raises(SystemExit, match='error: there is no command aks: .*COMMAND is one of ask, caption, features'):
        load_tool('predict').main(['aks'])
