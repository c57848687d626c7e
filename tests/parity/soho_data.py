"""What is read and in which order: images, tokens, samplers and caption groups."""

import json
import os
import tempfile
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from soho.datasets.collate import collate
from soho.datasets.pretrain import PretrainDataset
from soho.datasets.samplers import EpochSampler, OfficialBatchSampler
from soho.datasets.storage.decoding import decode_image
from soho.datasets.tokenizer import BertTokenizer
from soho.datasets.transforms.image import LoadImage, RandomResizeKeepRatio, ResizeKeepRatio, resize_keep_ratio
from soho.files import hash_file
from soho.models.preprocessor import ImageTextPreprocessor
from tests.parity.fixture import Fixture, folders_above
from tests.parity.soho_model import PRETRAIN, VQA, recipe

NORMALIZED = 1e-6
SUM = 1e-6  # relative


class _FixtureStore:
    """An image store whose files are arrays of a fixture."""

    def __init__(self, fixture: Fixture) -> None:
        self.path = fixture.path
        self.read = lambda name: fixture[name].tobytes()


def check_images(fixture: Fixture) -> None:
    """``preprocess``: decode, resize, normalise and pad, one image and in batches."""
    size = _resize_of(recipe(PRETRAIN).train_dataloader.dataset.datasets[0].pipeline)
    preprocessor = recipe(PRETRAIN).model.data_preprocessor
    normalize = ImageTextPreprocessor(**{k: v for k, v in preprocessor.items() if k != 'type'})
    fixture.check('norm/mean', normalize.mean.flatten(), NORMALIZED, 1e-6)
    fixture.check('norm/std', normalize.std.flatten(), NORMALIZED, 1e-6)
    photos = [name.removesuffix('/jpeg') for name in fixture.values if name.endswith('/jpeg') and name.count('/') == 1]
    images = {photo: _check_photo(fixture, photo, size, normalize) for photo in photos}
    for batch in [name.removesuffix('/names') for name in fixture.values if name.endswith('/names')]:
        _check_batch(fixture, batch + '/', [images[name] for name in fixture[batch + '/names'].tolist()], normalize)
    _check_random_resize(fixture, photos, normalize)
    for case in [name.removesuffix('jpeg') for name in fixture.names('decode/') if name.endswith('/jpeg')]:
        image = decode_image(fixture[case + 'jpeg'].tobytes(), name=case)
        fixture.check(case + 'shape', image.shape)
        fixture.check(case + 'bgr_grid4', image[::4, ::4, ::-1])
    _check_sizes(fixture, size)


def _resize_of(pipeline: Sequence[dict]) -> ResizeKeepRatio:
    return next(ResizeKeepRatio(step['scale']) for step in pipeline if step['type'] == 'ResizeKeepRatio')


def _load(fixture: Fixture, photo: str) -> dict:
    return LoadImage()(dict(image_store=_FixtureStore(fixture), file_name=photo + '/jpeg'))


def _prepared(images: list[np.ndarray], normalize: ImageTextPreprocessor) -> dict[str, Tensor]:
    return normalize(collate([dict(image=image) for image in images]))


def _with_channels(size: Sequence[int]) -> list[int]:
    return [*map(int, size), 3]


def _check_photo(fixture: Fixture, photo: str, resize: ResizeKeepRatio, normalize: ImageTextPreprocessor) -> np.ndarray:
    results, name = _load(fixture, photo), photo + '/'
    decoded = results['image'][..., ::-1]
    fixture.check(name + 'decoded_bgr_grid8', decoded[::8, ::8])
    fixture.check(name + 'decoded_bgr_sum', decoded.sum((0, 1), dtype=np.int64))
    fixture.check(name + 'ori_shape', decoded.shape)
    image = resize(results)['image']
    fixture.check(name + 'resized_bgr_grid8', image[::8, ::8, ::-1])
    fixture.check(name + 'resized_bgr_sum', image[..., ::-1].sum((0, 1), dtype=np.int64))
    fixture.check(name + 'img_shape', image.shape)
    fixture.check(name + 'scale_factor', _factor(decoded.shape, resize.scale), rtol=1e-12)
    batch = _prepared([image], normalize)
    fixture.check(name + 'pad_shape', _with_channels(batch['pad_size'][0]))
    out, (h, w) = batch['image'][0], image.shape[:2]
    fixture.check(name + 'out/grid16', out[:, ::16, ::16], NORMALIZED)
    fixture.check(name + 'out/top_left', out[:, :24, :24], NORMALIZED)
    fixture.check(name + 'out/bottom_right', out[:, h - 24 : h + 8, w - 24 : w + 8], NORMALIZED)
    fixture.check(name + 'out/sum', out.double().sum((1, 2)), rtol=SUM)
    fixture.check(name + 'out/abs_sum', out.double().abs().sum((1, 2)), rtol=SUM)
    return image


def _factor(shape: Sequence[int], scale: Sequence[int]) -> float:
    """The factor that fits both edges, as the official meta data record it."""
    return min(max(scale) / max(shape[:2]), min(scale) / min(shape[:2]))


def _check_batch(fixture: Fixture, name: str, images: list[np.ndarray], normalize: ImageTextPreprocessor) -> None:
    batch = _prepared(images, normalize)
    fixture.check(name + 'shape', tuple(batch['image'].shape))
    fixture.check(name + 'grid16', batch['image'][:, :, ::16, ::16], NORMALIZED)
    fixture.check(name + 'pad_shape', [_with_channels(size) for size in batch['pad_size']])
    fixture.check(name + 'img_shape', [_with_channels(size) for size in batch['image_size']])


def _check_random_resize(fixture: Fixture, photos: list[str], normalize: ImageTextPreprocessor) -> None:
    """The VQA training resize; numpy's old global stream stands in for the sample's generator."""
    if 'vqa_train/table' not in fixture:
        return
    pipeline = recipe(VQA).train_dataloader.dataset.datasets[0].pipeline
    random = next(RandomResizeKeepRatio(step['scales']) for step in pipeline if step['type'] == 'RandomResizeKeepRatio')
    columns = fixture['vqa_train/table_columns'].tolist()
    ours = []
    for i, row in enumerate(fixture['vqa_train/table']):
        recorded = dict(zip(columns, row.tolist()))
        scale = random.sample(_OldStream(recorded['numpy_seed']))
        results = _load(fixture, photos[recorded['image_index']])
        factor = _factor(results['image'].shape, scale)
        image = resize_keep_ratio(results, scale)['image']
        batch = _prepared([image], normalize)
        fixture.check(f'vqa_train/{i}/grid32', batch['image'][0, :, ::32, ::32], NORMALIZED)
        fixture.check(f'vqa_train/{i}/scale_factor', factor, rtol=1e-12)
        (h, w), (pad_h, pad_w) = image.shape[:2], batch['pad_size'][0].tolist()
        ours.append(
            [
                {
                    **recorded,
                    **dict(long_edge=scale[0], short_edge=scale[1], img_h=h, img_w=w, pad_h=pad_h, pad_w=pad_w),
                }[column]
                for column in columns
            ]
        )
    fixture.check('vqa_train/table', ours)


class _OldStream:
    """``numpy.random.seed`` and ``randint`` behind the interface of a Generator."""

    def __init__(self, seed: int) -> None:
        self.stream = np.random.RandomState(seed)

    def integers(self, low: int, high: int, endpoint: bool) -> int:
        return self.stream.randint(low, high + endpoint)


def _check_sizes(fixture: Fixture, resize: ResizeKeepRatio) -> None:
    if 'sizes/table' not in fixture:
        return
    columns = fixture['sizes/table_columns'].tolist()
    ours = []
    for row in fixture['sizes/table']:
        recorded = dict(zip(columns, row.tolist()))
        image = resize(dict(image=np.zeros((recorded['height'], recorded['width'], 3), np.uint8)))['image']
        h, w = collate([dict(image=image)])['pad_size'][0].tolist()
        ours.append(
            [
                {
                    **recorded,
                    **dict(new_width=image.shape[1], new_height=image.shape[0], padded_width=w, padded_height=h),
                }[column]
                for column in columns
            ]
        )
    fixture.check('sizes/table', ours)


def check_text(fixture: Fixture) -> None:
    """``text``: tokenisation with the vocabulary whose SHA-256 the file states."""
    digest, name = fixture['vocab_sha256'], fixture['vocab']
    path = find_vocabulary(name, digest, fixture.vocab, os.path.dirname(os.path.abspath(fixture.path)))
    if path is None:
        fixture.fail(
            [n for n in fixture.values if n not in ('vocab', 'vocab_sha256')],
            f'needs the vocabulary {name} (SHA-256 {digest[:12]}...): give its vocab.txt by --vocab',
        )
        return
    options = _tokenizer_options()
    tokenizer = BertTokenizer(path, max_length=512, clean_text=options['clean_text'])
    fixture.check('vocab_size', len(tokenizer))
    for token in ('pad', 'unk', 'cls', 'sep', 'mask'):
        fixture.check('special/' + token, tokenizer.backend.token_to_id(f'[{token.upper()}]'))
    length = int(fixture['max_length'])
    for samples in dict.fromkeys(n.split('/')[0] for n in fixture.names('samples')):
        tail = samples.rpartition('_')[2]
        _check_samples(fixture, samples + '/', path, int(tail) if tail.isdigit() else length, options)


def _tokenizer_options() -> dict:
    """The published recipe's tokenizer, without its vocabulary and length."""
    steps = recipe(PRETRAIN).train_dataloader.dataset.datasets[0].pipeline
    tokenizer = next(step for step in steps if step['type'] == 'Tokenize')['tokenizer']
    return dict(clean_text=tokenizer.get('clean_text', True))


def _check_samples(fixture: Fixture, name: str, path: str, length: int, options: dict) -> None:
    texts = fixture[name + 'text']
    tokenizer = BertTokenizer(path, max_length=length, **options)
    ids, attention = tokenizer(texts)
    fixture.check(name + 'ids', ids)
    fixture.check(name + 'attention', attention)
    fixture.check(name + 'tokens', [[tokenizer.backend.id_to_token(i) for i in row] for row in ids.tolist()])
    ends = np.setdiff1d(tokenizer.end_and_pad_ids, tokenizer.backend.token_to_id('[PAD]'))
    fixture.check(name + 'special_mask', np.isin(ids, ends).astype(int))
    whole = BertTokenizer(path, max_length=4096, **options)
    whole.backend.no_truncation()
    whole.backend.no_padding()
    pieces = [whole.backend.encode(text, add_special_tokens=False).tokens for text in texts]
    fixture.check(name + 'all_tokens', pieces)


def find_vocabulary(name: str, digest: str, given: str | None, near: str) -> str | None:
    """The vocabulary file with this SHA-256.

    Looked for at ``given``, in ``$SOHO_BERT``, in folders ``name`` and
    ``data/name`` from ``near`` and from the working folder upwards, and in
    Hugging Face's cache.
    """
    folders = [given, os.environ.get('SOHO_BERT')]
    for start in folders_above(near, os.getcwd()):
        folders += [os.path.join(start, name), os.path.join(start, 'data', name)]
    for folder in filter(None, folders):
        path = os.path.join(folder, 'vocab.txt') if os.path.isdir(folder) else folder
        if os.path.isfile(path) and hash_file(path) == digest:
            return path
    from huggingface_hub import try_to_load_from_cache

    for repository in (name, f'google-bert/{name}'):
        path = try_to_load_from_cache(repository, 'vocab.txt')
        if isinstance(path, str) and hash_file(path) == digest:
            return path
    return None


class _Flagged:
    """A dataset of which only the orientations are known."""

    def __init__(self, flags: Sequence[int]) -> None:
        self.aspect_ratio = np.where(np.asarray(flags) > 0, 1.5, 1.0)

    def __len__(self) -> int:
        return len(self.aspect_ratio)


def check_sampler(fixture: Fixture) -> None:
    """``sampler``: each rank's samples in order."""
    for case in [name.removesuffix('flag') for name in fixture.values if name.endswith('flag')]:
        sampler = EpochSampler(_Flagged(fixture[case + 'flag']), seed=0)
        sampler.world_size = int(fixture[case + 'world_size'])
        sampler.set_epoch(int(fixture[case + 'epoch']))
        batches = OfficialBatchSampler(sampler, int(fixture[case + 'samples_per_gpu']))
        ranks = []
        for rank in range(sampler.world_size):
            sampler.rank = rank
            ranks.append([key.index for batch in batches for key in batch])
        fixture.check(case + 'indices_per_rank', ranks)
        fixture.check(case + 'length', len(batches) * batches.batch_size)


def check_grouping(fixture: Fixture) -> None:
    """``grouping``: the items of a pretraining annotation."""
    for case in [name.removesuffix('python_random_seed') for name in fixture.values if name.endswith('random_seed')]:
        columns = {n.rsplit('/', 1)[1]: fixture[n] for n in fixture.names(case + 'annotation/')}
        records = [dict(zip(columns, values)) for values in zip(*columns.values())]
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'a.json'), 'w', encoding='utf-8') as file:
                json.dump(records, file)
            dataset = PretrainDataset(
                'a.json',
                None,
                [],
                data_root=folder,
                sentence_group=int(fixture[case + 'sentence_group']),
                replace_prob=0.0,
                fill_seed=int(fixture[case + 'python_random_seed']),
            )
        names = [dataset.images.file_names[i] for i in dataset.item_images[:, 0]]
        by_name = {record['file_name']: record for record in records}
        rng = np.random.default_rng(0)  # nothing is left to draw
        fixture.check(case + 'items/filename', names)
        fixture.check(
            case + 'items/caption', [dataset.get_annotation(i, rng)['sentences'] for i in range(len(dataset))]
        )
        fixture.check(case + 'items/height', dataset.images.sizes[dataset.item_images[:, 0], 0])
        fixture.check(case + 'items/width', dataset.images.sizes[dataset.item_images[:, 0], 1])
        for key in ('image_id', 'labels'):
            fixture.check(f'{case}items/{key}', [by_name[name][key] for name in names])
        fixture.check(case + 'flag', (dataset.aspect_ratio[:, 0] > 1).astype(int))
        fixture.remark(case + 'cache_file')  # groups are not kept in a file here
