"""Samples of image-text retrieval: an image, its caption and captions of others."""

import json

import cv2
import numpy as np
import pytest
import torch

from soho.datasets.concat import ConcatDataset
from soho.datasets.retrieval import RetrievalDataset, collate_in_batch
from soho.datasets.sample_key import SampleKey

CAPTIONS = [['a red star', 'one star'], ['a ring'], ['a red star', 'a blue box', 'boxes']]


@pytest.fixture
def make_dataset(tmp_path, synthetic):
    """Three pictures with the captions above; keywords go to the data set."""
    (tmp_path / 'images').mkdir()
    records = []
    for i, captions in enumerate(CAPTIONS):
        cv2.imwrite(str(tmp_path / 'images' / f'{i}.png'), np.full((40, 48, 3), 40 * i, np.uint8))
        records.append(dict(file_name=f'{i}.png', image_id=100 + i, height=40, width=48, captions=captions))

    def make(changes=(), **options):
        for number, change in dict(changes).items():
            records[number].update(change)
        (tmp_path / 'captions.json').write_text(json.dumps(records))
        pipeline = [
            dict(type='LoadImage'),
            dict(type='Tokenize', tokenizer=dict(vocab=str(synthetic / 'vocab.txt'), max_length=8)),
            dict(type='PackSample', keys=['itm_labels', 'image_index']),
        ]
        return RetrievalDataset('captions.json', 'images', pipeline, data_root=str(tmp_path), **options)

    return make


def test_a_sample_is_an_image_with_its_caption_and_captions_of_others(make_dataset):
    dataset = make_dataset(negatives=6)
    chosen = set()
    for epoch in range(12):
        for index in range(3):
            annotation = dataset.get_annotation(index, SampleKey(0, epoch, index).rng())
            own, *others = annotation['sentences']
            assert own in CAPTIONS[index] and len(others) == 6
            # A caption that is written of both images is not called wrong for one of them.
            foreign = {text for i, texts in enumerate(CAPTIONS) if i != index for text in texts} - {own}
            assert set(others) <= foreign
            assert annotation['itm_labels'].tolist() == [1] + 6 * [0] and annotation['image_index'] == index
            chosen.add(own)
    assert chosen == {text for texts in CAPTIONS for text in texts}  # over the epochs, all
    assert dataset[0]['input_ids'].shape == (7, 8)
    assert np.array_equal(dataset[SampleKey(0, 3, 1)]['input_ids'], dataset[SampleKey(0, 3, 1)]['input_ids'])


def test_a_test_sample_is_an_image_and_all_captions_are_apart(make_dataset):
    dataset = make_dataset(test_mode=True)
    assert [dataset[i]['input_ids'].shape[0] for i in range(3)] == [1, 1, 1]
    ids, attention, owner = dataset.encode_captions()
    assert owner.tolist() == [0, 0, 1, 2, 2, 2] and ids.shape == attention.shape == (6, 8)
    assert np.array_equal(ids[2], dataset[1]['input_ids'][0])
    few = make_dataset(test_mode=True, num_images_used=2)
    assert len(few) == 2 and few.encode_captions()[2].tolist() == [0, 0, 1]


def test_all_captions_of_a_batch_meet_all_its_images(make_dataset):
    dataset = make_dataset(negatives=0)
    samples = [dataset[i] for i in (0, 1, 2, 1)]
    samples[2]['input_ids'] = samples[0]['input_ids']  # 'a red star' of both
    batch = collate_in_batch(samples)
    assert batch['input_ids'].shape == batch['attention_mask'].shape == (4, 4, 8)
    assert all(batch['input_ids'][i].equal(batch['input_ids'][0]) for i in range(4))
    assert batch['itm_labels'].equal(torch.eye(4, dtype=torch.long))
    counted = torch.ones(4, 4, dtype=torch.bool)
    for one, other in ((0, 2), (1, 3)):  # the same caption; the same image
        counted[one, other] = counted[other, one] = False
    assert batch['sentence_mask'].equal(counted)
    with pytest.raises(ValueError, match='these samples have 3: set negatives=0'):
        collate_in_batch([make_dataset(negatives=2)[0]])


def test_images_of_two_data_sets_are_never_the_same_image(make_dataset):
    part = make_dataset(negatives=0)
    joined = ConcatDataset([part, part])
    samples = [joined[i] for i in (1, 3, 5)]
    assert [sample['image_index'] for sample in samples] == [1, 3, 5]
    samples = [joined[i] for i in (1, 4)]
    samples[1]['input_ids'] = joined[3]['input_ids']  # another caption, so that only the image could exclude it
    assert collate_in_batch(samples)['sentence_mask'].all()


def test_what_is_wrong_in_the_file_is_said(make_dataset):
    with pytest.raises(ValueError, match=r"image 1\.png has the caption '  '; a caption is a text that is not empty"):
        make_dataset({1: dict(captions=['  '])})
    with pytest.raises(ValueError, match=r'the folder .*images has no image 9\.png; near it are 0\.png'):
        make_dataset({1: dict(captions=['a ring'], file_name='9.png')})[1]
    with pytest.raises(ValueError, match='has one image only: its captions have to be told from those of another'):
        make_dataset({i: dict(image_id=1) for i in range(3)})
