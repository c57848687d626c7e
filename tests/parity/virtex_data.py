"""Datasets of VirTex: order of the images, tokens, batches, masking and label sets."""

import json
import os
import random
import tempfile
from collections.abc import Sequence

import numpy as np

from soho.datasets.coco_captions import CaptioningDataset
from soho.datasets.coco_object_labels import ObjectLabelsDataset
from soho.datasets.collate import collate
from soho.datasets.sentence_piece import normalize_caption
from soho.datasets.transforms.captions import LabelTokens, MaskCaption, TokenizeCaption
from soho.datasets.voc07 import LABELS, read_voc07
from tests.parity.fixture import Fixture
from tests.parity.soho_model import recipe
from tests.parity.virtex_text import CAPTIONS, beside

MASKED = '_base_/datasets/coco_masked_captions_virtex.py'
OF_MEAN = 6.0  # standard errors


def check_data(fixture: Fixture) -> None:
    """``data.json``; its captions are in the ids of the vocabulary that a file beside it names."""
    vocab = beside(fixture, fixture.sibling('model_file', 'encode/ids')['model_file'])
    tokenizer = dict(recipe(CAPTIONS).tokenizer, vocab=vocab)
    with tempfile.TemporaryDirectory() as folder:
        dataset = _captions(fixture, folder)
        _check_items(fixture, dataset, tokenizer)
        _check_masking(fixture, dataset, tokenizer)
        _check_objects(fixture, folder)
        _check_voc07(fixture, folder)


def _rows(fixture: Fixture, prefix: str) -> list[dict]:
    columns = {name.removeprefix(prefix): fixture[name] for name in fixture.names(prefix)}
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def _write(folder: str, **content: list) -> str:
    path = os.path.join(folder, 'annotations.json')
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(content, file)
    return path


def _listed(images: Sequence[dict]) -> list[dict]:
    """With sizes, as COCO's files have them."""
    return [dict(image, height=480, width=640) for image in images]


def _captions(fixture: Fixture, folder: str) -> CaptioningDataset:
    path = _write(
        folder,
        images=_listed(_rows(fixture, 'annotations/images/')),
        annotations=_rows(fixture, 'annotations/annotations/'),
    )
    return CaptioningDataset(path, None, [])


def _all_captions(dataset: CaptioningDataset, index: int) -> list[str]:
    first = dataset.caption_start[index]
    return [dataset.captions[i] for i in range(first, first + dataset.caption_count[index])]


def _check_items(fixture: Fixture, dataset: CaptioningDataset, tokenizer: dict) -> None:
    captions = [_all_captions(dataset, i) for i in range(len(dataset))]
    fixture.check(
        'instances',
        [
            [dataset.image_id(i), dataset.images.file_names[i], [normalize_caption(caption) for caption in captions[i]]]
            for i in range(len(dataset))
        ],
    )
    fixture.remark('instances_note')
    tokenize = TokenizeCaption(tokenizer)
    samples = [
        tokenize(dict(sentences=[caption], image_id=dataset.image_id(i)))
        for i, texts in enumerate(captions)
        for caption in texts
    ]
    fixture.check('captioning_items/caption', [normalize_caption(sample['sentences'][0]) for sample in samples])
    fixture.check('captioning_items/caption_length', [sample['caption_lengths'] for sample in samples])
    fixture.check('captioning_items/image_id', [sample['image_id'] for sample in samples])
    for key in ('caption_tokens', 'noitpac_tokens'):
        fixture.check('captioning_items/' + key, [sample[key].tolist() for sample in samples])
    height, width = fixture['batch_image_shape'][2:]
    batch = collate(
        [
            dict(
                {key: value for key, value in sample.items() if key != 'sentences'},
                image=np.zeros((height, width, 3), np.uint8),
            )
            for sample in samples[:4]
        ],
        size_divisor=1,
    )
    fixture.check('batch_image_shape', batch['image'].shape)
    for key in ('image_id', 'caption_tokens', 'noitpac_tokens', 'caption_lengths'):
        fixture.check('captioning_batch_of_first_4/' + key, batch[key])
    fixture.check('token_classification_labels', LabelTokens()(dict(samples[0]))['label_set'])
    fixture.remark('token_classification_dataset')


class _PythonStream:
    """Python's ``random`` behind the interface of a Generator."""

    def __init__(self, seed: int) -> None:
        self.stream = random.Random(seed)

    def integers(self, low: int, high: int | None = None) -> int:
        return self.stream.choice(range(low) if high is None else range(low, high))

    def choice(self, values: np.ndarray, size: int, replace: bool) -> list[int]:
        return self.stream.sample(values.tolist(), size)

    def random(self) -> float:
        return self.stream.random()


def _check_masking(fixture: Fixture, dataset: CaptioningDataset, tokenizer: dict) -> None:
    pipeline = recipe(MASKED).train_dataloader.dataset.pipeline
    step = next(step for step in pipeline if step['type'] == 'MaskCaption')
    settings = {key: value for key, value in step.items() if key not in ('type', 'tokenizer')}
    tokenize, mask = TokenizeCaption(tokenizer), MaskCaption(tokenizer, **settings)
    name = 'masked_lm_examples/'
    samples = []
    for seed, caption in zip(fixture[name + 'python_seed'], fixture[name + 'caption']):
        rng = _PythonStream(seed)
        rng.integers(1)  # the official dataset draws a caption among those of the image, here one
        sample = tokenize(dict(sentences=[caption], rng=rng))
        samples.append((sample['caption_tokens'], mask(sample)))
    fixture.check(name + 'original', [original.tolist() for original, _ in samples])
    for key in ('caption_tokens', 'masked_labels'):
        fixture.check(name + key, [sample[key].tolist() for _, sample in samples])
    pack = next(step for step in pipeline if step['type'] == 'PackSample')
    fixture.check(
        'batch keys of masked captions',
        sorted(['image', *pack['keys']]),
        recorded=sorted(fixture['masked_lm_batch_keys']),
    )

    name = 'masked_lm_statistics/'
    length, draws = int(fixture[name + 'caption_length']), int(fixture[name + 'draws'])
    tokens = np.arange(4, 4 + length)
    rng = np.random.default_rng(0)
    drawn = [mask(dict(caption_tokens=tokens, rng=rng)) for _ in range(draws)]
    labels = np.array([sample['masked_labels'] for sample in drawn])
    changed = np.array([sample['caption_tokens'] for sample in drawn]) != tokens
    settings.update(mask_prob=1.0)
    every = MaskCaption(tokenizer, **settings)(dict(caption_tokens=tokens, rng=rng))  # all that are chosen
    counts = dict(
        masked_with_label_per_caption=(labels > 0).sum(1),
        replaced_without_label_per_caption=(changed & (labels == 0)).sum(1),
    )
    for key, count in counts.items():
        fixture.check(name + key, count.mean(), OF_MEAN * count.std() * (2 / draws) ** 0.5)
    fixture.check(name + 'chosen_per_caption', int((every['masked_labels'] > 0).sum()))
    fixture.check(name + 'first_and_last_never', not changed[:, [0, -1]].any())
    fixture.check(name + 'config_default_mask_probability', mask.mask_prob)
    fixture.remark(name + 'rules', name + 'class_default_mask_probability')


def _check_objects(fixture: Fixture, folder: str) -> None:
    name = 'multilabel/'
    path = _write(
        folder,
        images=_listed([dict(id=i, file_name=f'{i:012d}.jpg') for i in fixture[name + 'images_in_folder']]),
        annotations=[dict(image_id=i, category_id=category) for i, category in fixture[name + 'annotations']],
        categories=[dict(id=category) for category in fixture[name + 'category_ids_in_file']],
    )
    dataset = ObjectLabelsDataset(path, None, [])
    annotations = [dataset.get_annotation(i, None) for i in range(len(dataset))]
    ours = {str(item['image_id']): item['label_set'].tolist() for item in annotations}
    recorded = {part.rpartition('/')[2] for part in fixture.names(name + 'labels_by_image/')}
    fixture.check('images with objects', sorted(ours), recorded=sorted(recorded))
    fixture.check_all(ours, prefix=name + 'labels_by_image/')
    batch = collate([dict(label_set=np.array(labels)) for labels in ours.values()])
    fixture.check(name + 'padding', int(batch['label_set'].min()))
    fixture.remark(name + 'note', name + 'vocab_size')  # 80 categories and padding


def _check_voc07(fixture: Fixture, folder: str) -> None:
    classes, instances = fixture['voc07/class_names'], fixture['voc07/instances']
    written = {ours: theirs for theirs, ours in LABELS.items()}
    main = os.path.join(folder, 'ImageSets', 'Main')
    os.makedirs(main)
    for column, kind in enumerate(classes):
        with open(os.path.join(main, f'{kind}_trainval.txt'), 'w', encoding='utf-8') as file:
            file.writelines(f'{name.removesuffix(".jpg")} {written[labels[column]]:2d}\n' for name, labels in instances)
    found = read_voc07(folder, 'trainval')
    fixture.check('voc07/class_names', found.class_names)
    fixture.check('voc07/instances', [list(row) for row in zip(found.file_names, found.labels.tolist())])
    fixture.remark('voc07/note')
