"""tools/prepare/pretrain.py: the official layout, and which images may be seen in pretraining."""

import json

import pytest


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('prepare/pretrain')


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_captions(root, subset, captions):
    write(
        root / 'annotations' / f'captions_{subset}.json',
        dict(
            info={},
            images=[
                dict(id=image, file_name=f'COCO_{subset}_{image:012d}.jpg', height=48, width=64) for image in captions
            ],
            annotations=[
                dict(id=number, image_id=image, caption=caption)
                for image, texts in captions.items()
                for number, caption in enumerate(texts)
            ],
        ),
    )


# Visual Genome image id -> (COCO id, regions)
GENOME = {
    1: (None, ['a dog', 'A dog ', '', 'the grass']),
    2: (11, ['red hat', 'a man\nin a hat']),
    3: (21, ['a boat']),
    4: (91, ['a test']),
    5: (77, ['who knows']),
    6: (None, [' ']),
}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / 'vg_coco_pre'
    write_captions(root, 'train2014', {11: ['A man in a hat', ' A  cat\n'], 12: [], 13: ['a', '', 'b', 'A']})
    write_captions(root, 'val2014', {21: ['A boat.']})
    write(
        root / 'image_data.json',
        [
            dict(image_id=image, width=80, height=60, url=f'https://example.org/{image}.jpg', coco_id=coco_id)
            for image, (coco_id, _) in GENOME.items()
        ],
    )
    write(
        root / 'region_descriptions.json',
        [
            dict(
                id=image,
                regions=[
                    dict(region_id=1, image_id=image, phrase=phrase, x=0, y=0, width=9, height=9) for phrase in phrases
                ],
            )
            for image, (_, phrases) in GENOME.items()
        ],
    )
    write(root / 'annotations' / 'image_info_test2015.json', dict(images=[dict(id=91), dict(id=92)]))
    return root


def read(root, name):
    return json.loads((root / f'{name}_pre.json').read_text())


def captions(root, name):
    return {item['image_id']: item['captions'] for item in read(root, name)}


def test_official_layout_and_summary(tool, root, capsys):
    tool.main(['--root', str(root)])
    assert read(root, 'coco_cap_train')[0] == dict(
        file_name='COCO_train2014_000000000011.jpg',
        image_id=11,
        height=48,
        width=64,
        labels=[],
        captions=['A man in a hat', 'A cat'],
    )
    assert read(root, 'vg_cap')[0] == dict(
        file_name='1.jpg', image_id=1, height=60, width=80, labels=[], captions=['a dog', 'the grass']
    )
    assert capsys.readouterr().out.splitlines() == [
        'coco_cap_train_pre.json: 2 images, 4 captions, 1 empty captions dropped, '
        '1 repeated captions dropped, 1 images without captions left out',
        'coco_cap_val_pre.json: 1 images, 1 captions',
        'vg_cap_pre.json: 3 images, 5 captions, 2 empty captions dropped, 1 repeated captions dropped, '
        '1 images without captions left out, 1 test images left out, '
        '1 images of unknown COCO split left out, 2 images shared with COCO kept',
    ]


def test_empty_and_repeated_captions_go(tool, root):
    tool.main(['--root', str(root)])
    assert captions(root, 'coco_cap_train') == {11: ['A man in a hat', 'A cat'], 13: ['a', 'b']}


@pytest.mark.parametrize(
    'shared, genome, train, val',
    [
        ('keep', {1, 2, 3}, ['A man in a hat', 'A cat'], ['A boat.']),
        ('drop', {1}, ['A man in a hat', 'A cat'], ['A boat.']),
        ('merge', {1}, ['A man in a hat', 'A cat', 'red hat'], ['A boat.', 'a boat']),
    ],
)
def test_shared_images(tool, root, shared, genome, train, val):
    """No rule lets image 4 (COCO test) and 5 (in no captions file) through; 6 has no caption."""
    tool.main(['--root', str(root), '--shared', shared])
    assert set(captions(root, 'vg_cap')) == genome
    # 'a man in a hat' of the regions is there already
    assert captions(root, 'coco_cap_train')[11] == train
    assert captions(root, 'coco_cap_val')[21] == val


@pytest.mark.parametrize(
    'name, content',
    [
        ('ids.json', '{"info": {}, "images": [{"id": 11}]}'),
        ('questions.json', '{"info": {}, "questions": [{"question_id": 1, "image_id": 11}]}'),
        ('karpathy.txt', 'train2014/COCO_train2014_000000000011.jpg 11\n\n'),
        ('names.txt', 'COCO_train2014_000000000011.jpg\n'),
    ],
)
def test_named_images_are_left_out_everywhere(tool, root, name, content):
    (root / name).write_text(content)
    tool.main(['--root', str(root), '--test-images', str(root / name)])
    assert set(captions(root, 'coco_cap_train')) == {13}
    # 91 is no longer named, but no captions file has it either
    assert set(captions(root, 'vg_cap')) == {1, 3}


def test_second_call_does_nothing_until_something_changes(tool, root, capsys):
    tool.main(['--root', str(root)])
    first = capsys.readouterr().out
    tool.main(['--root', str(root)])
    second = capsys.readouterr().out
    assert 'up to date, nothing to do' in second
    assert second.endswith(first)
    tool.main(['--root', str(root), '--shared', 'drop'])
    assert 'up to date' not in capsys.readouterr().out


def test_coco_alone(tool, root):
    (root / 'region_descriptions.json').unlink()
    tool.main(['--root', str(root), '--out', str(root / 'out')])
    assert {path.name for path in (root / 'out').iterdir()} == {
        'coco_cap_train_pre.json',
        'coco_cap_val_pre.json',
        'prepare_pretrain.json',
    }


def broken(root):
    path = root / 'region_descriptions.json'
    path.write_text(path.read_text()[:-20])


def unknown_image(root):
    write(root / 'region_descriptions.json', [dict(id=8, regions=[])])


def repeated_image(root):
    write(root / 'region_descriptions.json', [dict(id=1, regions=[])] * 2)


def no_phrase(root):
    write(root / 'region_descriptions.json', [dict(id=1, regions=[dict(x=1)])])


def no_caption(root):
    write(root / 'annotations' / 'captions_val2014.json', dict(images=[], annotations=[dict(image_id=1)]))


def caption_of_no_image(root):
    write(root / 'annotations' / 'captions_val2014.json', dict(images=[], annotations=[dict(image_id=1, caption='a')]))


def caption_that_is_none(root):
    write_captions(root, 'val2014', {21: [None]})


def no_id(root):
    write(root / 'annotations' / 'image_info_test2015.json', dict(images=[dict(file_name='a.jpg')]))


@pytest.mark.parametrize(
    'damage, message',
    [
        (broken, 'region_descriptions.json ends too early at line 1, character'),
        (unknown_image, 'Item 0 of {root}/region_descriptions.json is of image 8, which {root}/image_data.json lacks.'),
        (repeated_image, 'Item 1 of {root}/region_descriptions.json is of image 1, as is an earlier item.'),
        (
            no_phrase,
            "Item 0 of the list in {root}/region_descriptions.json: regions[0] has no key 'phrase'; it has 'x'.",
        ),
        (no_caption, "Item 0 of 'annotations' in {root}/annotations/captions_val2014.json has no key 'caption'"),
        (caption_of_no_image, "captions_val2014.json has a caption of image 1, which its list 'images' lacks."),
        (caption_that_is_none, 'captions_val2014.json (image_id 21): caption is None, where a text is expected.'),
        (no_id, "Item 0 of 'images' in {root}/annotations/image_info_test2015.json has no key 'id'"),
        (lambda root: (root / 'image_data.json').unlink(), 'region_descriptions.json needs image_data.json beside it'),
    ],
)
def test_errors_are_one_sentence(tool, root, damage, message):
    damage(root)
    with pytest.raises(SystemExit) as error:
        tool.main(['--root', str(root)])
    assert message.format(root=root) in str(error.value)
    assert not (root / 'prepare_pretrain.json').exists()


def test_a_line_without_an_id(tool, tmp_path):
    (tmp_path / 'ids.txt').write_text('12\nno number\n')
    with pytest.raises(ValueError, match=r"Line 2 of .*ids\.txt holds no image id: 'no number'"):
        tool.read_ids(tmp_path / 'ids.txt')
