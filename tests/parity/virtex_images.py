"""Pictures as VirTex trains and evaluates on them: decoded, resized, cropped, flipped, coloured, normalised."""

import hashlib
import re

import numpy as np

from soho.datasets.collate import collate
from soho.datasets.transforms.augmentation import (
    CenterCrop,
    RandomResizedCrop,
    ResizeShortEdge,
    crop_and_resize,
    jitter,
)
from soho.datasets.transforms.image import LoadImage, RandomFlip
from soho.models.preprocessor import ImageTextPreprocessor
from tests.parity.fixture import Fixture
from tests.parity.soho_model import recipe
from tests.parity.virtex_text import CAPTIONS

NORMALIZED = 2e-6  # README: another order of operations differs by up to 5e-7
SIGMAS = 6.0  # of a statistic over random draws
QUANTILE = 0.01
SCALES = dict(pretrain=(0.2, 1.0), imagenet=(0.08, 1.0))


class _Store:
    """An image store whose files are arrays of a fixture."""

    def __init__(self, fixture: Fixture) -> None:
        self.path = fixture.path
        self.read = lambda name: fixture['jpeg/' + name].tobytes()


def _load(fixture: Fixture, name: str) -> np.ndarray:
    return LoadImage()(dict(image_store=_Store(fixture), file_name=name))['image']


def _evaluated(image: np.ndarray, setting: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resized, cropped and normalised (h, w, 3), as the setting's name says: the short edge, then the side."""
    short, side = map(int, re.search(r'(\d+)_(\d+)$', setting).groups())
    resized = ResizeShortEdge(short)(dict(image=image))['image']
    cropped = CenterCrop(side)(dict(image=resized))['image']
    batch = ImageTextPreprocessor()(collate([dict(image=cropped)]))
    return resized, cropped, batch['image'][0].permute(1, 2, 0).numpy()


def check_arrays(fixture: Fixture) -> None:
    """``preprocess.npz``, whose crops and colours the json beside it describes."""
    settings = fixture.sibling('pinned_crop/', 'jitter_single/')
    images = {name.removeprefix('jpeg/'): _load(fixture, name.removeprefix('jpeg/')) for name in fixture.names('jpeg/')}
    for name, image in images.items():
        fixture.check('decoded_slice/' + name, image[::20, ::20])
        for setting in ('eval_256_224', 'pretrain_val_224_224'):
            _, cropped, normalized = _evaluated(image, setting)
            place = f'{setting}/{name}/'
            fixture.check(place + 'cropped_u8', cropped)
            fixture.check(place + 'normalized', normalized, NORMALIZED)
            fixture.check(place + 'normalized_slice', normalized[::16, ::16], NORMALIZED)
    for i, crop in enumerate(_pinned(settings, next(iter(images.values())))):
        fixture.check(f'pinned_crop/{i}/slice', crop[::14, ::14])
    for i, image in enumerate(_singles(settings, fixture['jitter/input'])):
        fixture.check(f'jitter/single/{i}', image[::4, ::4])
    for i, image in enumerate(_combinations(settings, fixture['jitter/input'])):
        fixture.check(f'jitter/combo/{i}', image)


def _pinned(settings: Fixture, image: np.ndarray) -> list[np.ndarray]:
    """The parts that are named, as training resizes them."""
    size = recipe(CAPTIONS).crop['size']
    parts = zip(*(settings['pinned_crop/' + edge] for edge in 'yxhw'))
    return [crop_and_resize(dict(image=image), part, size)['image'] for part in parts]


def _singles(settings: Fixture, image: np.ndarray) -> list[np.ndarray]:
    operations, factors = settings['jitter_single/op'], settings['jitter_single/factor']
    return [jitter(image, {operation: factor}) for operation, factor in zip(operations, factors)]


def _combinations(settings: Fixture, image: np.ndarray) -> list[np.ndarray]:
    orders, factors = settings['jitter_combo/order'], settings['jitter_combo/factors']
    return [jitter(image, dict(zip(order, values))) for order, values in zip(orders, factors)]


def _sha256(image: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()


def check_record(fixture: Fixture) -> None:
    """``preprocess.json``: whole images by their hashes, sizes, settings and statistics."""
    arrays = fixture.sibling('jpeg/', 'jitter/input')
    names = list(dict.fromkeys(name.split('/')[1] for name in fixture.names('images/')))
    images = {name: _load(arrays, name) for name in names}
    for name, image in images.items():
        _check_image(fixture, f'images/{name}/', arrays['jpeg/' + name], image)
    fixture.check('pinned_crop/sha256', [_sha256(crop) for crop in _pinned(fixture, images[names[0]])])
    source = arrays['jitter/input']
    singles = _singles(fixture, source)
    fixture.check('jitter_single/i', list(range(len(singles))))
    fixture.check('jitter_single/sha256', [_sha256(image) for image in singles])
    fixture.check('jitter_single/same_as_input', [bool((image == source).all()) for image in singles])
    fixture.check('jitter_combo/sha256', [_sha256(image) for image in _combinations(fixture, source)])
    _check_sizes(fixture)
    _check_settings(fixture)
    _check_crop_statistics(fixture)
    _check_flips(fixture)
    fixture.remark(
        *fixture.names('library/'),
        *fixture.names('orders/'),
        'exif_note',
        'jitter_rules',
        'caption_flip_note',
        'random_source',
    )


def _check_image(fixture: Fixture, place: str, jpeg: np.ndarray, image: np.ndarray) -> None:
    fixture.check(place + 'bytes', jpeg.size)
    fixture.check(place + 'decoded_shape', image.shape)
    fixture.check(place + 'decoded_sha256', _sha256(image))
    fixture.remark(place + 'pillow_decoded_shape', place + 'pillow_decoded_max_abs_diff')
    for setting in dict.fromkeys(name.split('/')[2] for name in fixture.names(place) if name.count('/') == 3):
        resized, cropped, normalized = _evaluated(image, setting)
        ours = dict(
            resized_shape=resized.shape,
            resized_sha256=_sha256(resized),
            cropped_sha256=_sha256(cropped),
            normalized_dtype=str(normalized.dtype),
        )
        fixture.check_all(ours, prefix=f'{place}{setting}/')
        values = normalized.reshape(-1, 3).astype(np.float64)
        fixture.check_all(dict(mean=values.mean(0), std=values.std(0)), NORMALIZED, prefix=f'{place}{setting}/')


def _check_sizes(fixture: Fixture) -> None:
    name = 'smallest_resize_shapes'
    resize = ResizeShortEdge(recipe(CAPTIONS).test_dataloader.dataset.pipeline[1]['size'])
    sizes = [size for size, _ in fixture.values[name]]
    fixture.check(
        name, [[size, list(resize(dict(image=np.zeros((*size, 3), np.uint8)))['image_size'])] for size in sizes]
    )
    name = 'center_crop_origin'
    ours = []
    for (height, width), _ in fixture.values[name]:
        rows, columns = np.divmod(np.arange(height), 256), np.divmod(np.arange(width), 256)
        image = np.zeros((height, width, 4), np.uint8)  # where each pixel was
        image[..., 0], image[..., 1], image[..., 2], image[..., 3] = (
            rows[0][:, None],
            rows[1][:, None],
            columns[0],
            columns[1],
        )
        corner = CenterCrop(recipe(CAPTIONS).center['size'])(dict(image=image))['image'][0, 0].astype(int)
        ours.append([[height, width], [int(256 * corner[0] + corner[1]), int(256 * corner[2] + corner[3])]])
    fixture.check(name, ours)


def _check_settings(fixture: Fixture) -> None:
    """What the published recipe states."""
    config, normalize = recipe(CAPTIONS), ImageTextPreprocessor()
    crop, colors = config.crop, config.jitter
    ranges = {name: (1 - colors[name], 1 + colors[name]) for name in ('brightness', 'contrast', 'saturation')}
    ours = dict(
        random_resized_crop=dict(height=crop['size'], width=crop['size'], scale=crop['scale'], ratio=crop['ratio']),
        horizontal_flip=dict(p=config.flip['prob']),
        color_jitter=dict(ranges, p=colors['prob'], hue=(-colors['hue'], colors['hue'])),
        normalize=dict(mean=normalize.mean.flatten() / 255, std=normalize.std.flatten() / 255),
    )
    for name, values in ours.items():
        fixture.check_all(values, 1e-6, prefix=f'transforms/{name}/')
    fixture.remark(
        *(
            name
            for name in fixture.names('transforms/')
            if name.rpartition('/')[2] in ('p', 'always_apply', 'interpolation', 'max_pixel_value')
        )
    )
    # Crops of other recipes, and what none uses.
    fixture.remark(*fixture.names('transforms/random_resized_crop::'), *fixture.names('transforms/global_resize/'))


def _check_crop_statistics(fixture: Fixture) -> None:
    prefix = next(name.split('/')[0] for name in fixture.names('crop_statistics'))
    draws = int(re.search(r'(\d+)_draws', prefix)[1])
    for case in dict.fromkeys(name.split('/')[1] for name in fixture.names(prefix)):
        kind, height, width = re.fullmatch(r'(\w+)_(\d+)x(\d+)', case).groups()
        height, width = int(height), int(width)
        crop, rng = RandomResizedCrop(scale=SCALES[kind]), np.random.default_rng(0)
        parts = np.array([crop.sample((height, width), rng) for _ in range(draws)])
        area = parts[:, 2] * parts[:, 3] / (height * width)
        ratio = np.log(parts[:, 3] / parts[:, 2])
        place = f'{prefix}/{case}/'
        for name, values in (('area', area), ('log_ratio', ratio)):
            spread = SIGMAS * values.std() * (2 / draws) ** 0.5
            fixture.check(f'{place}{name}_mean', values.mean(), spread)
            fixture.check(f'{place}{name}_std', values.std(), spread)
        fixture.check(place + 'area_quantiles_05_50_95', np.quantile(area, (0.05, 0.5, 0.95)), QUANTILE)


def _check_flips(fixture: Fixture) -> None:
    image, rng = np.zeros((1, 1, 3), np.uint8), np.random.default_rng(0)
    flip = RandomFlip(recipe(CAPTIONS).flip['prob'])
    flips = sum(flip(dict(image=image, flipped=False, rng=rng))['flipped'] for _ in range(1000))
    fixture.check('flip_rate_in_1000', flips, SIGMAS * 500**0.5)
    official = RandomFlip(prob=1, within_words=True)
    texts = [text for text, _ in fixture.values['caption_flip']]
    flipped = official(dict(image=image, flipped=False, rng=rng, sentences=texts))['sentences']
    fixture.check('caption_flip', [list(pair) for pair in zip(texts, flipped)])
