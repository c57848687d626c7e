"""tools/prepare/object_crops.py: cut-outs and labels from instances in the COCO format."""

import json
import zipfile

import cv2
import numpy as np
import pytest


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('prepare/object_crops')


@pytest.fixture
def root(tmp_path):
    """A grey picture with a red and a blue square, a crowd and a speck."""
    root = tmp_path / 'coco'
    (root / 'train2014').mkdir(parents=True)
    picture = np.full((120, 160, 3), 128, np.uint8)
    picture[10:40, 20:50] = (0, 0, 255)  # BGR
    picture[60:110, 100:150] = (255, 0, 0)
    cv2.imwrite(str(root / 'train2014' / 'a.png'), picture)
    boxes = {7: [20, 10, 30, 30], 8: [100, 60, 50, 50], 9: [0, 0, 100, 100], 10: [3, 3, 4, 4]}
    (root / 'instances_train2014.json').write_text(
        json.dumps(
            dict(
                categories=[dict(id=3, name='box'), dict(id=5, name='tile')],
                attributes=[
                    dict(id=1, name='red', supercategory='color'),
                    dict(id=2, name='blue', supercategory='color'),
                    dict(id=3, name='plain', supercategory='texture'),
                ],
                images=[
                    dict(id=1, file_name='a.png', height=120, width=160),
                    dict(id=2, file_name='no object.png', height=9, width=9),
                ],
                annotations=[
                    dict(
                        id=number,
                        image_id=1,
                        category_id=category,
                        attribute_ids=attributes,
                        bbox=boxes[number],
                        iscrowd=int(number == 9),
                    )
                    for number, category, attributes in ((7, 5, [1, 3]), (8, 3, [2]), (9, 3, []), (10, 3, [1]))
                ],
            )
        )
    )
    return root


def read(root, size):
    with zipfile.ZipFile(root / 'objects_train2014.zip') as file:
        found = {
            name: cv2.imdecode(np.frombuffer(file.read(name), np.uint8), cv2.IMREAD_COLOR) for name in file.namelist()
        }
    assert all(picture.shape == (size, size, 3) for picture in found.values())
    return json.loads((root / 'objects_train2014.json').read_text()), found


def test_every_object_is_cut_out_with_one_label_a_kind(tool, root, capsys):
    tool.main(['--root', str(root), '--size', '24', '--workers', '1'])
    assert capsys.readouterr().out == 'train2014: 2 objects\n'
    annotations, pictures = read(root, 24)
    assert annotations['labels'] == dict(category=['box', 'tile'], color=['red', 'blue'], texture=['plain'])
    assert [(item['image_id'], item['labels']) for item in annotations['data']] == [(7, [1, 0, 0]), (8, [0, 1, -1])]
    red, blue = (pictures[f'objects_train2014/{item["file_name"]}'][12, 12] for item in annotations['data'])
    assert red[2] > 200 > 60 > red[0] and blue[0] > 200 > 60 > blue[2]


def test_a_second_call_has_nothing_to_do(tool, root, capsys):
    tool.main(['--root', str(root), '--workers', '1'])
    before = (root / 'objects_train2014.zip').stat().st_mtime_ns
    capsys.readouterr()
    tool.main(['--root', str(root), '--workers', '1'])
    assert 'nothing to do' in capsys.readouterr().out
    assert (root / 'objects_train2014.zip').stat().st_mtime_ns == before


def test_without_attributes_there_are_categories_alone(tool, root):
    path = root / 'instances_train2014.json'
    instances = json.loads(path.read_text())
    for item in instances['annotations']:
        del item['attribute_ids']
    path.write_text(json.dumps(instances))
    tool.main(['--root', str(root), '--workers', '1'])
    annotations, _ = read(root, 64)
    assert list(annotations['labels']) == ['category']
    assert [item['labels'] for item in annotations['data']] == [[1], [0]]


def test_missing_instances_are_said_in_one_sentence(tool, tmp_path):
    with pytest.raises(SystemExit, match='holds a file such as instances_train2014.json'):
        tool.main(['--root', str(tmp_path)])
