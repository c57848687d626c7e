"""One image of the data set with all its annotations, made from (seed, split, index)."""

import json
import re
from dataclasses import dataclass, field

from .annotators import sample_answers
from .draw import draw_scene, encode_jpeg
from .files import CATEGORIES, OBJECT_ATTRIBUTES
from .instances import make_instances
from .language import make_captions, make_regions
from .questions import Question, make_questions
from .scene import Scene, make_rng, sample_scene

_CATEGORY_IDS = {category['name']: category['id'] for category in CATEGORIES}
_ATTRIBUTE_IDS = {attribute['name']: attribute['id'] for attribute in OBJECT_ATTRIBUTES}
# Image ids of the splits do not meet: room for 10 million each.
_FIRST_IDS = {'train2014': 1, 'val2014': 10_000_001, 'test2015': 20_000_001}
# One in so many pictures of a split is in Visual Genome too.
_SHARED_EVERY = {'train2014': 10, 'val2014': 40, 'test2015': 40}
_FIRST_VISUAL_GENOME_IDS = {'visual_genome': 1, 'train2014': 10_000_001, 'val2014': 20_000_001, 'test2015': 30_000_001}


@dataclass
class ImageRecord:
    """Image with its annotations, as text that is ready to be written.

    Attributes:
        split: A key of ``SPLITS``.
        member: Name of the picture in the zip of its split.
        picture: The JPEG file.
        image: COCO image as JSON text.
        items: JSON texts by file: captions, instances, questions, answers, scenes.
        genome: (member, region descriptions, image data) where the picture is in Visual Genome.
        questions: The questions, for the blind baseline.
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
    """Return the COCO id of an image."""
    return _FIRST_IDS[split] + index


def make_record(seed: int, split: str, index: int) -> ImageRecord:
    """Return an image with its annotations; equal arguments give equal bytes."""
    scene = sample_scene(seed, split, index)
    picture = encode_jpeg(draw_scene(seed, scene))
    if split == 'visual_genome':
        genome, phrases = _visual_genome(seed, scene, None)
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
    texts = make_captions(seed, scene)
    questions = make_questions(seed, scene)
    visible = make_instances(scene)
    items = {
        'captions': [
            json.dumps(dict(image_id=identity, id=identity * 10 + k, caption=text)) for k, text in enumerate(texts)
        ],
        'instances': [
            json.dumps(
                dict(
                    id=identity * 10 + k,
                    image_id=identity,
                    category_id=_CATEGORY_IDS[obj.shape],
                    attribute_ids=[_ATTRIBUTE_IDS[obj.color], _ATTRIBUTE_IDS[obj.texture], _ATTRIBUTE_IDS[obj.size]],
                    **instance,
                )
            )
            for k, (obj, instance) in enumerate(zip(scene.objects, visible))
        ],
        **_question_items(seed, scene, identity, questions),
        'scenes': [json.dumps(_scene(scene, visible, identity, name))],
    }
    record = ImageRecord(split, f'{split}/{name}', picture, image, items, questions=questions)
    if index % _SHARED_EVERY[split] == 0:
        record.genome, phrases = _visual_genome(seed, scene, identity)
        texts = texts + phrases
    if split == 'train2014':
        record.words = _words([*texts, *(question.text for question in questions)])
    return record


def _words(texts: list[str]) -> set[str]:
    return set(re.findall(r'\w+|[^\w\s]', ' '.join(texts).lower()))


def _question_items(seed: int, scene: Scene, identity: int, questions: list[Question]) -> dict[str, list[str]]:
    rng = make_rng(seed, scene.split, scene.index, 'annotators')
    items: dict[str, list[str]] = {'questions': [], 'answers': []}
    for number, question in enumerate(questions):
        question_id = identity * 1000 + number
        items['questions'].append(json.dumps(dict(image_id=identity, question=question.text, question_id=question_id)))
        items['answers'].append(
            json.dumps(
                dict(
                    question_type=question.kind,
                    multiple_choice_answer=question.answer,
                    answers=sample_answers(rng, question),
                    image_id=identity,
                    answer_type=question.answer_type,
                    question_id=question_id,
                )
            )
        )
    return items


def _scene(scene: Scene, visible: list[dict], identity: int, name: str) -> dict:
    """Return the scene graph, from which captions, questions and other tasks can be made."""
    objects = []
    for obj, instance in zip(scene.objects, visible):
        objects.append(
            dict(
                shape=obj.shape,
                color=obj.color,
                size=obj.size,
                texture=obj.texture,
                center=[round(value, 2) for value in obj.center],
                diameter=round(obj.diameter, 2),
                rotation=round(obj.rotation, 2),
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


def _visual_genome(seed: int, scene: Scene, coco_id: int | None) -> tuple[tuple[str, str, str], list[str]]:
    """Return ``ImageRecord.genome`` of an image and the phrases of its regions."""
    identity = _FIRST_VISUAL_GENOME_IDS[scene.split] + scene.index
    found = make_regions(seed, scene)
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
