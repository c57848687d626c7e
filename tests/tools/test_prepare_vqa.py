"""tools/prepare/vqa.py: the official layout, soft scores and answer list from hand-made downloads."""

import json
import struct
import zipfile

import pytest
from PIL import Image


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('prepare/vqa')


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_split(root, subset, rows):
    """``rows``: (question id, image id, question, most frequent answer, {answer: votes})."""
    write(
        root / f'v2_OpenEnded_mscoco_{subset}_questions.json',
        dict(
            info={},
            questions=[
                dict(question_id=number, image_id=image, question=question) for number, image, question, _, _ in rows
            ],
        ),
    )
    if subset != 'test2015':
        write(
            root / f'v2_mscoco_{subset}_annotations.json',
            dict(
                info={},
                annotations=[
                    dict(
                        question_id=number,
                        image_id=image,
                        multiple_choice_answer=best,
                        answer_type='other',
                        answers=[dict(answer=answer) for answer, count in votes.items() for _ in range(count)],
                    )
                    for number, image, _, best, votes in rows
                ],
            ),
        )


def write_sizes(root, subset, sizes):
    write(
        root / 'annotations' / f'captions_{subset}.json',
        dict(
            info={},
            annotations=[],
            images=[
                dict(id=image, file_name=f'COCO_{subset}_{image:012d}.jpg', height=height, width=width)
                for image, (height, width) in sizes.items()
            ],
        ),
    )


@pytest.fixture
def root(tmp_path):
    """Three questions to train on, one to validate, two to test; test sizes only in the image zip."""
    root = tmp_path / 'coco'
    write_split(
        root,
        'train2014',
        [
            (101, 1, 'What color? ', 'Red', {'Red': 5, 'red.': 1, 'the blue': 3, 'dark red': 1}),
            (201, 2, 'How many?', '2', {'two': 2, '2': 8}),
            (102, 1, 'Is it red?', 'yes', {'yes': 10}),
        ],
    )
    write_split(root, 'val2014', [(301, 3, 'Is it blue?', 'yes', {'yes': 8, 'no': 2})])
    write_split(root, 'test2015', [(401, 4, 'Why?', None, None), (402, 4, 'Where?', None, None)])
    write_sizes(root, 'train2014', {1: (48, 64), 2: (64, 48)})
    write_sizes(root, 'val2014', {3: (50, 60)})
    with (
        zipfile.ZipFile(root / 'test2015.zip', 'w') as archive,
        archive.open('test2015/COCO_test2015_000000000004.jpg', 'w') as file,
    ):
        Image.new('RGB', (70, 40)).save(file, 'JPEG')
    return root


def read(root, split):
    return json.loads((root / f'{split}_data_vqa.json').read_text())


def test_official_layout(tool, root, capsys):
    tool.main(['--root', str(root)])
    train, val, test = (read(root, split) for split in ('train', 'val', 'test'))
    # 'yes' leads with two questions; '2' and 'red' have one each and go by the alphabet.
    assert train['label2ans'] == ['yes', '2', 'red']
    assert train['ans2label'] == {'yes': 0, '2': 1, 'red': 2}
    assert train['data'] == [
        dict(
            file_name='COCO_train2014_000000000001.jpg',
            image_id=1,
            height=48,
            width=64,
            vqa=[
                dict(question='What color?', question_id=101, labels=[2], scores=[1.0]),
                dict(question='Is it red?', question_id=102, labels=[0], scores=[1.0]),
            ],
        ),
        dict(
            file_name='COCO_train2014_000000000002.jpg',
            image_id=2,
            height=64,
            width=48,
            vqa=[dict(question='How many?', question_id=201, labels=[1], scores=[1.0])],
        ),
    ]
    assert val['label2ans'] == test['label2ans'] == train['label2ans']
    assert val['ans2label'] == test['ans2label'] == train['ans2label']
    file = dict(file_name='COCO_test2015_000000000004.jpg', image_id=4, height=40, width=70)
    assert test['data'] == [
        dict(**file, question='Why?', question_id=401),
        dict(**file, question='Where?', question_id=402),
    ]
    assert capsys.readouterr().out.splitlines() == [
        '3 answers',
        'train: 2 images, 3 questions, 0 of these without any answer of the list',
        'val: 1 images, 1 questions, 0 of these without any answer of the list',
        'test: 1 images, 2 questions; 1 sizes read from image headers',
    ]


def test_a_picture_too_large_to_decode_has_a_size(tool, root):
    path = root / 'test2015.zip'
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        data = archive.read(name)
    frame = data.index(b'\xff\xc0') + 5
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr(name, data[:frame] + struct.pack('>HH', 13500, 14000) + data[frame + 4 :])
    tool.main(['--root', str(root)])
    assert {(item['height'], item['width']) for item in read(root, 'test')['data']} == {(13500, 14000)}


@pytest.mark.parametrize('votes, score', [(1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_soft_score_of_votes(tool, votes, score):
    assert tool.soft_target([('red', votes), ('unknown', 3)], {'red': 7}) == ([7], [score])


def test_answers_are_normalized_before_counting(tool, root):
    answers = tool.read_answers(root / 'v2_mscoco_train2014_annotations.json')
    assert answers[101] == ('red', (('red', 6), ('blue', 3), ('dark red', 1)))
    assert answers[201] == ('2', (('2', 10),))


def test_most_frequent_answer_where_the_file_names_none(tool, tmp_path):
    item = dict(question_id=1, answers=[dict(answer=answer) for answer in ('a cat', 'dog', 'cat')])
    write(tmp_path / 'a.json', dict(annotations=[item]))
    assert tool.read_answers(tmp_path / 'a.json')[1].best == 'cat'


@pytest.mark.parametrize(
    'flags, label2ans',
    [
        (['--num-answers', '1'], ['yes']),
        (['--num-answers', '2'], ['yes', '2']),
        (['--min-count', '2'], ['yes']),
        (['--min-count', '1', '--num-answers', '9'], ['yes', '2', 'red']),
    ],
)
def test_size_of_the_answer_list(tool, root, flags, label2ans):
    tool.main(['--root', str(root), *flags])
    assert read(root, 'train')['label2ans'] == label2ans


@pytest.mark.parametrize(
    'name, text',
    [
        ('list.json', '["no", "Blue", "red"]'),
        ('labels.json', '{"red": 2, "no": 0, "Blue": 1}'),
        ('list.txt', 'no\nBlue\nred\n'),
    ],
)
def test_given_answer_list(tool, root, name, text, capsys):
    (root / name).write_text(text)
    tool.main(['--root', str(root), '--answer-list', str(root / name)])
    train, val = read(root, 'train'), read(root, 'val')
    assert train['label2ans'] == ['no', 'Blue', 'red']
    assert train['data'][0]['vqa'][0]['labels'] == [2, 1]
    assert train['data'][0]['vqa'][0]['scores'] == [1.0, 0.9]
    assert train['data'][0]['vqa'][1] == dict(question='Is it red?', question_id=102, labels=[], scores=[])
    assert val['data'][0]['vqa'][0]['scores'] == [0.6]
    assert 'train: 2 images, 3 questions, 2 of these without any answer' in capsys.readouterr().out


@pytest.mark.parametrize(
    'text, message',
    [
        (
            '{"red": 0, "blue": 2}',
            r"Label 2 of 'blue' in .*list\.json is outside of the answer list, "
            'whose labels go from 0 to 1',
        ),
        ('{"red": 0, "blue": 0}', r'gives the same label to several answers: 2 answers, 1 labels'),
        ('["red", "blue", "red"]', r"list\.json holds the answer 'red' twice"),
        ('[]', r'list\.json is not an answer list'),
        ('[[1]]', r'list\.json: \[0\] is \[1\], where a whole number or a number or a text is expected'),
        ('5', r'list\.json is not an answer list'),
        ('["red"', r'list\.json ends too early at line 1, character 6'),
    ],
)
def test_wrong_answer_list(tool, tmp_path, text, message):
    (tmp_path / 'list.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        tool.read_answer_list(tmp_path / 'list.json')


def test_second_call_does_nothing_until_something_changes(tool, root, capsys):
    tool.main(['--root', str(root)])
    stamp = (root / 'train_data_vqa.json').stat().st_mtime_ns
    first = capsys.readouterr().out
    tool.main(['--root', str(root)])
    assert 'up to date, nothing to do' in (second := capsys.readouterr().out)
    assert second.endswith(first)
    assert (root / 'train_data_vqa.json').stat().st_mtime_ns == stamp
    tool.main(['--root', str(root), '--num-answers', '2'])
    assert 'up to date' not in capsys.readouterr().out


def test_files_of_any_name_and_place(tool, root, tmp_path):
    renamed = {}
    for kind, name in (
        ('questions', 'v2_OpenEnded_mscoco_train2014_questions.json'),
        ('annotations', 'v2_mscoco_train2014_annotations.json'),
        ('sizes', 'annotations/captions_train2014.json'),
    ):
        renamed[kind] = str((root / name).rename(tmp_path / f'{kind}.json'))
    out = tmp_path / 'out'
    tool.main(
        [
            '--root',
            str(tmp_path),
            '--out',
            str(out),
            '--train-questions',
            renamed['questions'],
            '--train-annotations',
            renamed['annotations'],
            '--image-info',
            renamed['sizes'],
        ]
    )
    assert {path.name for path in out.iterdir()} == {'train_data_vqa.json', 'prepare_vqa.json'}
    assert len(read(out, 'train')['data']) == 2


def broken(root):
    path = root / 'v2_mscoco_train2014_annotations.json'
    path.write_text(path.read_text()[:200])


def no_image_id(root):
    write(root / 'v2_OpenEnded_mscoco_val2014_questions.json', dict(questions=[dict(question_id=301)]))


def no_questions(root):
    write(root / 'v2_OpenEnded_mscoco_val2014_questions.json', dict(annotations=[]))


def other_questions(root):
    write(
        root / 'v2_OpenEnded_mscoco_val2014_questions.json',
        dict(questions=[dict(question_id=number, image_id=3, question='?') for number in (301, 999, 998)]),
    )


def no_sizes(root):
    (root / 'annotations' / 'captions_val2014.json').unlink()


def no_member(root):
    with zipfile.ZipFile(root / 'test2015.zip', 'w') as archive:
        archive.writestr('test2015/other.jpg', b'')


@pytest.mark.parametrize(
    'damage, message',
    [
        (broken, 'v2_mscoco_train2014_annotations.json ends too early at line 1, character 200: '),
        (
            no_image_id,
            "Item 0 of 'questions' in {root}/v2_OpenEnded_mscoco_val2014_questions.json has no key "
            "'image_id'; it has 'question_id'.",
        ),
        (no_questions, "val2014_questions.json has no key 'questions'; it has 'annotations'."),
        (
            other_questions,
            '2 questions of {root}/v2_OpenEnded_mscoco_val2014_questions.json are not in '
            '{root}/v2_mscoco_val2014_annotations.json, the first is 998.',
        ),
        (no_sizes, '1 images, such as COCO_val2014_000000000003.jpg, are in no COCO json file'),
        (no_member, 'COCO_test2015_000000000004.jpg'),
        (
            lambda root: (root / 'v2_mscoco_val2014_annotations.json').unlink(),
            'v2_OpenEnded_mscoco_val2014_questions.json needs the annotations of the same split beside it',
        ),
    ],
)
def test_errors_are_one_sentence(tool, root, damage, message):
    damage(root)
    with pytest.raises(SystemExit) as error:
        tool.main(['--root', str(root)])
    assert message.format(root=root) in str(error.value)
    assert not (root / 'prepare_vqa.json').exists()


def test_nothing_found(tool, tmp_path):
    with pytest.raises(SystemExit, match=f'Neither {tmp_path} nor {tmp_path}/annotations holds a file such'):
        tool.main(['--root', str(tmp_path)])


def test_a_file_is_split_by_image_and_one_without_image_ids_is_refused(load_tool, tmp_path):
    split, path = load_tool('prepare/split'), tmp_path / 'a.json'
    write(path, [dict(image_id=i // 2, captions=['a']) for i in range(8)])
    split.main([str(path), '--val', '0.25'])
    parts = [json.loads((tmp_path / f'a.{part}.json').read_text()) for part in ('train', 'val')]
    images = [{item['image_id'] for item in part} for part in parts]
    assert [len(part) for part in parts] == [6, 2] and not images[0] & images[1]
    write(path, dict(data=[dict(image_id=1), dict(file_name='b.jpg')]))
    with pytest.raises(SystemExit, match=r"Item 1 of 'data' in .*a\.json has no key 'image_id'; it has 'file_name'\."):
        split.main([str(path)])
