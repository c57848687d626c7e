"""Generated statements about two pictures: true as often as false, and true of what the pictures show."""

import json
import re
from collections import Counter

import numpy as np

from soho.datasets.nlvr2 import NLVR2Dataset
from soho.datasets.synthetic.exports.nlvr2 import export_nlvr2, make_examples
from soho.datasets.synthetic.exports.scenes import read_scenes
from soho.datasets.synthetic.pair_statements import make_statement_set
from soho.datasets.synthetic.scene import sample_scene


def test_statements_are_true_of_half_of_their_pairs():
    scenes = [sample_scene(0, 'train2014', index) for index in range(40)]
    made = [make_statement_set(np.random.default_rng(seed), scenes) for seed in range(60)]
    assert all(sum(statement.labels) == 2 and len(statement.pairs) == 4 for statement in made)
    assert len({statement.text for statement in made}) > 50
    counted = 0
    for statement in made:
        if found := re.fullmatch(r'The background of the (left|right) picture is (\w+)\.', statement.text):
            counted += 1
            side, background = (0 if found[1] == 'left' else 1), found[2]
            truth = [pair[side].background == background for pair in statement.pairs]
            assert truth == statement.labels
        if found := re.fullmatch(r'There (?:are|is) exactly \w+ .* in the (left|right) picture\.', statement.text):
            counted += 1
            side = 0 if found[1] == 'left' else 1
            true, false = (
                [p[side] for p, label in zip(statement.pairs, statement.labels) if label is known]
                for known in (True, False)
            )
            assert not {id(scene) for scene in true} & {id(scene) for scene in false}
    assert counted > 5


def test_a_scene_that_was_written_is_read_as_it_was(synthetic):
    scenes, names = read_scenes(synthetic, 'val2014')
    expected = sample_scene(0, 'val2014', 3)
    assert scenes[3].key() == expected.key() and names[3].startswith('COCO_val2014_')
    assert scenes[3].objects[0].center == tuple(round(value, 2) for value in expected.objects[0].center)
    assert make_examples(0, 'dev', scenes, names) == make_examples(0, 'dev', scenes, names)


def test_the_export_is_read_by_the_data_set(synthetic):
    counts = export_nlvr2(synthetic)
    assert counts == dict(train=48, dev=16, test1=16)
    folder = synthetic / 'nlvr2'
    labels = Counter(json.loads(line)['label'] for line in (folder / 'train.jsonl').read_text().splitlines())
    assert labels == {'True': 24, 'False': 24}
    dataset = NLVR2Dataset(
        'nlvr2/dev.jsonl',
        'val2014',
        [dict(type='LoadImage'), dict(type='PackSample', keys=['question_id'])],
        data_root=str(synthetic),
    )
    sizes = [image.shape[:2] for image in dataset[0]['image']]
    assert sizes == [tuple(size) for size in dataset.images.sizes[dataset.item_images[0]].tolist()]
