"""tools/prepare/captions.py: pretraining captions as COCO's json."""

import json

import pytest

from soho.datasets.coco_captions import CaptioningDataset


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('prepare/captions')


def record(image, *captions):
    return dict(file_name=f'{image}.jpg', image_id=image, width=64, height=48, captions=captions)


def write(tmp_path, *records):
    source = tmp_path / 'captions.json'
    source.write_text(json.dumps(records))
    return source


def test_the_captioning_dataset_reads_what_it_writes(tool, tmp_path, capsys):
    source = write(tmp_path, record('000000000285', 'a bear', 'a brown bear'), record(9, 'a cat'))
    out = tmp_path / 'coco.json'
    tool.main([str(source), '--out', str(out)])
    assert capsys.readouterr().out == f'{out}: 2 images, 3 captions\n'
    dataset = CaptioningDataset(str(out), None, [], test_mode=True)
    assert [dataset.get_annotation(i, None) for i in range(2)] == [
        dict(sentences=['a bear'], sentence_rows=[0], image_id=285),
        dict(sentences=['a cat'], sentence_rows=[2], image_id=9),
    ]
    assert [item['id'] for item in json.loads(out.read_text())['annotations']] == [1, 2, 3]


@pytest.mark.parametrize(
    'images, message',
    [
        (('a', 'b'), "the image_id 'a' of a.jpg is not a number"),
        ((3, '03'), 'the image_id 3 is repeated, by 3.jpg and 03.jpg'),
    ],
)
def test_an_id_that_coco_does_not_take_is_said(images, message, tool, tmp_path):
    source = write(tmp_path, *(record(image, 'a cat') for image in images))
    with pytest.raises(SystemExit, match=message):
        tool.main([str(source), '--out', str(tmp_path / 'coco.json')])
