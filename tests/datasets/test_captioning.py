"""COCO captions and objects to samples and batches of VirTex."""

import json

import cv2
import numpy as np
import pytest

from soho.datasets import CaptioningDataset, ObjectLabelsDataset, SampleKey
from soho.datasets.collate import collate
from soho.datasets.sentence_piece import train_vocabulary
from soho.datasets.transforms import LabelTokens, MaskCaption, PackSample, TokenizeCaption

CAPTIONS = [(7, 'a red dog'), (3, 'A cat on the left'), (7, 'the dog'), (3, 'a cat'), (7, 'one dog, red\n')]
IMAGES = [dict(id=i, file_name=f'{i:012d}.jpg', height=40, width=50) for i in (3, 5, 7)]


@pytest.fixture
def coco(tmp_path):
    """Folder with three images, five captions of two of them and four objects of the same two."""
    (tmp_path / 'images').mkdir()
    for image in IMAGES:
        cv2.imwrite(str(tmp_path / 'images' / image['file_name']), np.full((40, 50, 3), 9 * image['id'], np.uint8))
    annotations = [dict(id=n, image_id=i, caption=caption) for n, (i, caption) in enumerate(CAPTIONS)]
    (tmp_path / 'captions.json').write_text(json.dumps(dict(images=IMAGES, annotations=annotations)))
    objects = [dict(image_id=i, category_id=c) for i, c in ((7, 90), (7, 2), (3, 2), (7, 90))]
    (tmp_path / 'instances.json').write_text(
        json.dumps(dict(images=IMAGES, annotations=objects, categories=[dict(id=2), dict(id=5), dict(id=90)]))
    )
    train_vocabulary([caption for _, caption in CAPTIONS], tmp_path / 'v.model', 30)
    return tmp_path


def dataset(coco, kind=CaptioningDataset, ann_file='captions.json', pipeline=(), **options):
    return kind(ann_file, 'images', list(pipeline), data_root=str(coco), **options)


def tokenizer(coco, **options):
    return dict(vocab=str(coco / 'v.model'), **options)


def test_an_item_is_an_image_in_order_of_its_first_caption(coco):
    items = dataset(coco, test_mode=True)
    assert [(items[i]['image_id'], items[i]['file_name'], items[i]['sentences']) for i in range(len(items))] == [
        (7, '000000000007.jpg', ['a red dog']),
        (3, '000000000003.jpg', ['A cat on the left']),
    ]
    assert items.aspect_ratio.tolist() == [[1.25], [1.25]]


def test_training_draws_a_caption_by_seed_and_epoch(coco):
    items = dataset(coco)
    drawn = [items[SampleKey(0, epoch, 0)]['sentences'][0] for epoch in range(40)]
    assert set(drawn) == {caption for i, caption in CAPTIONS if i == 7}
    assert drawn == [items[SampleKey(0, epoch, 0)]['sentences'][0] for epoch in range(40)]
    assert {items[SampleKey(0, epoch, 1)]['image_id'] for epoch in range(9)} == {3}


def test_objects_are_numbered_from_one_by_the_files_order(coco):
    items = dataset(coco, ObjectLabelsDataset, 'instances.json')
    assert [(items[i]['image_id'], items[i]['label_set'].tolist()) for i in range(len(items))] == [
        (7, [1, 3]),
        (3, [1]),
    ]
    packed = [PackSample(['image_id', 'label_set'])(items[i]) for i in range(2)]
    batch = collate(packed)
    assert batch['label_set'].tolist() == [[1, 3], [1, 0]] and batch['image_id'].tolist() == [7, 3]


@pytest.mark.parametrize(
    'kind, file, change, message',
    [
        (
            CaptioningDataset,
            'captions',
            dict(annotations=[dict(image_id=9, caption='a')]),
            'annotations of 1 images that its list of images lacks; the first is 9',
        ),
        (
            CaptioningDataset,
            'captions',
            dict(annotations=[dict(image_id=7, caption=3)]),
            r'\(image_id 7\): caption is 3, where a text is expected',
        ),
        (CaptioningDataset, 'captions', dict(annotations=[dict(image_id=7)]), "has no key 'caption'"),
        (CaptioningDataset, 'captions', dict(annotations=[]), 'holds no usable sample'),
        (
            ObjectLabelsDataset,
            'instances',
            dict(annotations=[dict(image_id=7, category_id=4)]),
            'image 7 has an object of category 4, which the list of categories lacks',
        ),
    ],
)
def test_a_broken_file_is_named(coco, kind, file, change, message):
    path = coco / f'{file}.json'
    path.write_text(json.dumps(dict(json.loads(path.read_text()), **change)))
    with pytest.raises(ValueError, match=rf'{file}\.json.*{message}'):
        dataset(coco, kind, path.name)


def test_captions_forwards_and_backwards_and_padded(coco):
    pipeline = [
        dict(type='LoadImage'),
        TokenizeCaption(tokenizer(coco)),
        PackSample(['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths']),
    ]
    items = dataset(coco, pipeline=pipeline, test_mode=True)
    batch = collate([items[0], items[1]])
    lengths = batch['caption_lengths'].tolist()
    assert batch['caption_tokens'].shape == batch['noitpac_tokens'].shape == (2, max(lengths))
    for forward, backward, length in zip(batch['caption_tokens'], batch['noitpac_tokens'], lengths):
        assert forward[0] == backward[length - 1] == 1 and forward[length - 1] == backward[0] == 2
        assert forward[:length].tolist() == backward[:length].flip(0).tolist()
        assert not forward[length:].any() and not backward[length:].any()
    assert batch['image'].shape == (2, 3, 64, 64) and batch['image'].dtype.is_floating_point is False


def test_a_long_caption_is_cut_before_it_is_reversed(coco):
    cut = TokenizeCaption(tokenizer(coco, max_length=4))(dict(sentences=['a red dog on the cat']))
    whole = TokenizeCaption(tokenizer(coco))(dict(sentences=['a red dog on the cat']))
    assert cut['caption_tokens'].tolist() == whole['caption_tokens'][:4].tolist()
    assert cut['noitpac_tokens'].tolist() == cut['caption_tokens'][::-1].tolist()
    assert cut['caption_lengths'] == 4 and LabelTokens()(cut)['label_set'].tolist() == cut['caption_tokens'].tolist()


def test_several_captions_share_an_image(coco):
    keys = ['image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths']
    pipeline = [dict(type='LoadImage'), TokenizeCaption(tokenizer(coco)), PackSample(keys)]
    sample = dataset(coco, pipeline=pipeline, sentence_group=3)[1]  # of image 3, which has two
    tokens, lengths = sample['caption_tokens'], sample['caption_lengths']
    assert tokens.shape == sample['noitpac_tokens'].shape == (3, lengths.max())
    one = TokenizeCaption(tokenizer(coco))
    expected = {tuple(one(dict(sentences=[caption]))['caption_tokens']) for i, caption in CAPTIONS if i == 3}
    assert {tuple(row[:length]) for row, length in zip(tokens, lengths)} == expected, 'each before any comes again'
    for row, back, length in zip(tokens, sample['noitpac_tokens'], lengths):
        assert row[:length].tolist() == back[:length][::-1].tolist() and not row[length:].any()
    with pytest.raises(ValueError, match='a sample has 3: its dataset needs sentence_group=1'):
        MaskCaption(tokenizer(coco))(dict(sample, rng=np.random.default_rng(0)))


# --- masking ---


def masked(coco, length, draws, **options):
    mask, rng = MaskCaption(tokenizer(coco), **options), np.random.default_rng(0)
    tokens = np.array([1, *range(4, 2 + length), 2])
    results = [mask(dict(caption_tokens=tokens, rng=rng)) for _ in range(draws)]
    assert tokens.tolist() == [1, *range(4, 2 + length), 2], 'what came in was changed'
    return tokens, np.array([r['caption_tokens'] for r in results]), np.array([r['masked_labels'] for r in results])


def test_shares_of_masking(coco):
    tokens, hidden, labels = masked(coco, 22, 2000)
    is_mask = hidden == 3
    assert ((labels > 0) == is_mask).mean() > 0.995  # [MASK] may also be drawn at random, and then is not asked
    assert (labels[labels > 0] == np.broadcast_to(tokens, labels.shape)[labels > 0]).all()
    replaced = (hidden != tokens) & (labels == 0)
    assert (labels > 0).sum(1).mean() == pytest.approx(3 * 0.85, abs=0.06)
    assert replaced.sum(1).mean() == pytest.approx(3 * 0.1 * 29 / 30, abs=0.05)
    assert set(hidden[replaced]) == set(range(30)), 'any entry of the vocabulary'
    assert not (hidden != tokens)[:, [0, -1]].any()


@pytest.mark.parametrize('length, chosen', [(2, 0), (3, 1), (8, 1), (9, 2), (30, 5)])
def test_a_share_of_the_inner_tokens_is_chosen_rounded_up(coco, length, chosen):
    mask = MaskCaption(tokenizer(coco), mask_prob=1.0)
    sample = mask(dict(caption_tokens=np.array([1, *[9] * (length - 2), 2]), rng=np.random.default_rng(0)))
    assert (sample['masked_labels'] == 9).sum() == (sample['caption_tokens'] == 3).sum() == chosen


def test_a_single_token_is_always_masked(coco):
    _, hidden, _ = masked(coco, 5, 50, mask_prob=0.0, replace_prob=0.0)
    assert ((hidden == 3).sum(1) == 1).all()
