"""One image of the data set with all that is written about it; made in a worker, from numbers alone."""

import json
import re
from dataclasses import dataclass, field

from .annotators import annotate
from .draw import draw_scene, encode_jpeg
from .files import CATEGORIES, OBJECT_ATTRIBUTES
from .instances import instances
from .language import captions, regions
from .questions import Question, ask
from .scene import Scene, sample_scene, stream

_CATEGORY_IDS = {category['name']: category['id'] for category in CATEGORIES}
_ATTRIBUTE_IDS = {attribute['name']: attribute['id'] for attribute in OBJECT_ATTRIBUTES}
# Image ids of the splits do not meet: room for 10 million each.
_FIRST_IDS = {'train2014': 1, 'val2014': 10_000_001, 'test2015': 20_000_001}
# Every so many pictures of a split are in Visual Genome too.
_SHARED_EVERY = {'train2014': 10, 'val2014': 40, 'test2015': 40}
_FIRST_VISUAL_GENOME_IDS = {'visual_genome': 1, 'train2014': 10_000_001, 'val2014': 20_000_001, 'test2015': 30_000_001}


@dataclass
class ImageRecord:
    """What a worker returns.

    Attributes:
        split: A key of ``SPLITS``.
        member: Name of the picture in the zip of its split.
        picture: The JPEG file.
        image: COCO image as JSON text.
        items: JSON texts by file: captions, instances, questions, answers, scenes.
        genome: (member, region descriptions, image data) where the picture is in Visual Genome.
        questions: The questions, for the figures of the summary.
        words: Lower-case words of captions, questions and regions; empty outside training data.
    """

    split: str
    member: str
    picture: bytes
    image: str = ''
    items: dict[str, list[str]] = field(default_factory=dict)
    genome: tuple[str, str, str] | None = None
    questions: list[Question] = field(default_factory=list)
    words: set[str] = field(default_factory=set)


def image_id(split: str, index: int) -> int:
    """The COCO id of an image."""
    return _FIRST_IDS[split] + index


def make_record(seed: int, split: str, index: int) -> ImageRecord:
    """Draws and describes one image; equal arguments give equal bytes."""
    scene = sample_scene(seed, split, index)
    picture = encode_jpeg(draw_scene(seed, scene))
    if split == 'visual_genome':
        genome, phrases = _genome(seed, scene, None)
        return ImageRecord(split, genome[0], picture, genome=genome, words=_words(phrases))

    identity = image_id(split, index)
    name = f'COCO_{split}_{identity:012d}.jpg'
    image = json.dumps(
        dict(
            license=1,
            file_name=name,
            coco_url='',
            height=scene.height,
            width=scene.width,
            date_captured='2026-01-01 00:00:00',
            flickr_url='',
            id=identity,
        )
    )
    texts = captions(seed, scene)
    asked = ask(seed, scene)
    visible = instances(scene)
    items = {
        'captions': [
            json.dumps(dict(image_id=identity, id=identity * 10 + k, caption=text)) for k, text in enumerate(texts)
        ],
        'instances': [
            json.dumps(
                dict(
                    id=identity * 10 + k,
                    image_id=identity,
                    category_id=_CATEGORY_IDS[thing.shape],
                    attribute_ids=[
                        _ATTRIBUTE_IDS[thing.color],
                        _ATTRIBUTE_IDS[thing.texture],
                        _ATTRIBUTE_IDS[thing.size],
                    ],
                    **instance,
                )
            )
            for k, (thing, instance) in enumerate(zip(scene.things, visible))
        ],
        **_questions(seed, scene, identity, asked),
        'scenes': [json.dumps(_scene(scene, visible, identity, name))],
    }
    record = ImageRecord(split, f'{split}/{name}', picture, image, items, questions=asked)
    if index % _SHARED_EVERY[split] == 0:
        record.genome, phrases = _genome(seed, scene, identity)
        texts = texts + phrases
    if split == 'train2014':
        record.words = _words([*texts, *(question.text for question in asked)])
    return record


def _words(texts: list[str]) -> set[str]:
    return set(re.findall(r'\w+|[^\w\s]', ' '.join(texts).lower()))


def _questions(seed: int, scene: Scene, identity: int, asked: list[Question]) -> dict[str, list[str]]:
    rng = stream(seed, scene.split, scene.index, 'annotators')
    questions, answers = [], []
    for number, question in enumerate(asked):
        question_id = identity * 1000 + number
        questions.append(json.dumps(dict(image_id=identity, question=question.text, question_id=question_id)))
        answers.append(
            json.dumps(
                dict(
                    question_type=question.kind,
                    multiple_choice_answer=question.answer,
                    answers=annotate(rng, question),
                    image_id=identity,
                    answer_type=question.answer_type,
                    question_id=question_id,
                )
            )
        )
    return {'questions': questions, 'answers': answers}


def _scene(scene: Scene, visible: list[dict], identity: int, name: str) -> dict:
    """The scene graph: what captions, questions and later tasks can be made from."""
    objects = []
    for thing, instance in zip(scene.things, visible):
        objects.append(
            dict(
                shape=thing.shape,
                color=thing.color,
                size=thing.size,
                texture=thing.texture,
                center=[round(value, 2) for value in thing.centre],
                diameter=round(thing.diameter, 2),
                rotation=round(thing.rotation, 2),
                bbox=instance['bbox'],
            )
        )
    return dict(
        image_id=identity,
        file_name=name,
        width=scene.width,
        height=scene.height,
        background=scene.background,
        objects=objects,
    )


def _genome(seed: int, scene: Scene, coco_id: int | None) -> tuple[tuple[str, str, str], list[str]]:
    """What Visual Genome says of an image, as ``ImageRecord.genome``, and the phrases of its regions."""
    identity = _FIRST_VISUAL_GENOME_IDS[scene.split] + scene.index
    found = regions(seed, scene)
    described = dict(
        id=identity,
        regions=[dict(region_id=identity * 100 + k, image_id=identity, **region) for k, region in enumerate(found)],
    )
    data = dict(
        image_id=identity,
        url=f'https://generated.invalid/VG_100K/{identity}.jpg',
        width=scene.width,
        height=scene.height,
        coco_id=coco_id,
        flickr_id=None,
    )
    phrases = [region['phrase'] for region in found]
    return (f'{identity}.jpg', json.dumps(described), json.dumps(data)), phrases
