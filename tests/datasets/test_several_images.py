"""Samples of two images: transforms, broken images, groups of like shape."""

import cv2
import numpy as np
import pytest

from soho.datasets.base import ImageTextDataset
from soho.datasets.collate import collate
from soho.datasets.image_table import ImageTable
from soho.datasets.samplers import AspectRatioBatchSampler, EpochSampler
from soho.datasets.storage.image_store import ImageDecodeError

# Height, width and grey level of each picture; of some the bytes are no picture.
PICTURES = dict(a=(40, 60, 10), b=(60, 40, 200), c=(34, 60, 90), d=(60, 34, 50), broken=(40, 60, None))


class Pairs(ImageTextDataset):
    """Two pictures and the sentence "left of right" for each pair of names."""

    def __init__(self, pairs, *args, **kwargs):
        self.pairs = pairs
        super().__init__('pairs', *args, **kwargs)

    def load_annotations(self):
        names = sorted({name for pair in self.pairs for name in pair})
        records = (
            dict(file_name=f'{name}.png', image_id=name, height=PICTURES[name][0], width=PICTURES[name][1])
            for name in names
        )
        self.images = ImageTable(records, lambda record: None, self.min_side)
        self.item_images = np.array([[names.index(name) for name in pair] for pair in self.pairs])

    def get_annotation(self, index, rng):
        return dict(sentences=['left of right'])


@pytest.fixture
def pairs(tmp_path):
    for name, (height, width, grey) in PICTURES.items():
        data = b'no picture' if grey is None else cv2.imencode('.png', np.full((height, width, 3), grey, np.uint8))[1]
        (tmp_path / f'{name}.png').write_bytes(bytes(data))

    def make(*names, transforms=(), **options):
        pipeline = [dict(type='LoadImage'), *transforms, dict(type='PackSample', keys=[])]
        return Pairs([tuple(pair) for pair in names], str(tmp_path), pipeline, **options)

    return make


def test_transforms_run_on_each_image(pairs):
    resize = dict(type='ResizeKeepRatio', scale=(80, 80))
    dataset = pairs('ab', transforms=[resize])
    assert dataset.num_images == 2
    sample = dataset[0]
    assert [picture.shape[:2] for picture in sample['image']] == [(53, 80), (80, 53)] == sample['image_size']
    assert [int(picture.mean()) for picture in sample['image']] == [10, 200]
    batch = collate([sample, sample])
    assert batch['image'].shape == (4, 3, 96, 96) and batch['image_size'].tolist() == [[53, 80], [80, 53]] * 2


def test_random_choices_differ_between_the_images_but_a_flip_is_of_all(pairs, tmp_path):
    gradient = np.tile(np.arange(60, dtype=np.uint8), (40, 1))
    cv2.imwrite(str(tmp_path / 'a.png'), np.dstack([gradient] * 3))
    crops = pairs('aa', transforms=[dict(type='RandomResizedCrop', size=16)])[0]['image']
    assert not np.array_equal(*crops)
    dataset = pairs('aa', transforms=[dict(type='RandomFlip', prob=1.0)])
    flipped = dataset.pipeline(dataset.sample(0, np.random.default_rng(0)))['image']
    assert all(np.array_equal(picture[..., 0], gradient[:, ::-1]) for picture in flipped)
    dataset.pipeline.transforms.pop()  # see what would be packed
    assert dataset[0]['sentences'] == ['right of left']


def test_a_broken_image_of_a_pair(pairs):
    with pytest.raises(ImageDecodeError, match='broken.png'):
        pairs(('a', 'broken'))[0]
    evaluated = pairs(('a', 'broken'), max_broken_images=1, test_mode=True)
    first, second = evaluated[0]['image']
    assert int(first.mean()) == 10 and second.shape == (32, 32, 3) and not second.any()
    assert evaluated.broken_images == 1
    trained = pairs(('a', 'broken'), 'ab', 'cb', ('b', 'broken'), max_broken_images=1)
    assert int(trained[0]['image'][0].mean()) == 90  # neither broken again nor a picture of the first pair


def test_batches_are_of_pairs_of_like_shapes_in_either_order(pairs):
    dataset = pairs('ab', 'ba', 'ac', 'cd', 'ca', 'db')
    assert dataset.aspect_ratio.shape == (6, 2)
    batches = AspectRatioBatchSampler(EpochSampler(dataset, seed=0), batch_size=2)
    groups = [{tuple(sorted(dataset.aspect_ratio[key.index] > 1)) for key in batch} for batch in batches]
    assert all(len(group) == 1 for group in groups) and {group.pop() for group in groups} == {
        (False, True),
        (True, True),
        (False, False),
    }
