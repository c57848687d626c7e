"""Export of questions in the format of GQA.

``gqa`` holds the balanced questions of train, val and testdev, all questions and the choices of val and testdev, the
questions of testdev without what is not public (``submission_all_questions.json``), and the pictures of train2014,
val2014 and test2015 (``images.zip``). All questions are the balanced ones, the same in other words (``equivalent``),
and those whose answers follow (``entailed``). All questions of train are not written: nothing reads the ten files that
they are in the download. There are no full answers, nor the places of words.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path
from typing import Any

from soho.datasets.storage.image_store import ImageStore
from soho.datasets.storage.json_files import enumerate_members
from soho.datasets.synthetic.exports.scenes import read_scenes, read_seed
from soho.datasets.synthetic.files import JsonMembersFile, PictureZip
from soho.datasets.synthetic.gqa_questions import Family, StructuredQuestion, make_families
from soho.datasets.synthetic.scene import ATTRIBUTES, SPLITS, Scene
from soho.files import atomic_folder

FILES = {'train': 'train2014', 'val': 'val2014', 'testdev': 'test2015'}
# Ids have ten digits: the split, the number of the picture in it, and that of the question.
_PICTURE, _SPLIT = 100, 10**8


def export_gqa(root: Path) -> dict[str, int]:
    """Write ``gqa`` into the data set at ``root``; see ``formats.py``. The counts are of balanced questions."""
    target = root / 'gqa'
    if not target.exists():
        seed = read_seed(root)
        with atomic_folder(target) as folder, ExitStack() as stack:
            pictures = PictureZip(stack, folder / 'images.zip')
            for name, split in FILES.items():
                scenes, file_names = read_scenes(root, split)
                images = [str(int(file_name.removesuffix('.jpg').rpartition('_')[2])) for file_name in file_names]
                store = ImageStore(root / split)
                for image, file_name in zip(images, file_names):
                    pictures.add(f'images/{image}.jpg', store.read(file_name))
                _write_split(seed, name, scenes, images, folder)
    return {name: sum(1 for _ in enumerate_members(target / f'{name}_balanced_questions.json')) for name in FILES}


def _write_split(seed: int, name: str, scenes: list[Scene], images: list[str], folder: Path) -> None:
    paths = dict(balanced=f'{name}_balanced_questions.json')
    if name != 'train':
        paths |= dict(all=f'{name}_all_questions.json', choices=f'{name}_choices.json')
    if name == 'testdev':
        paths |= dict(submission='submission_all_questions.json')
    seen = attributes_seen(scenes)
    with ExitStack() as stack:
        files = {part: JsonMembersFile(stack, folder / path) for part, path in paths.items()}
        for scene, image in zip(scenes, images):
            families = make_families(seed, scene)
            numbered = number_questions(scene, families)
            for number, record in make_records(families, numbered, image).items():
                public = {key: record[key] for key in ('question', 'imageId', 'isBalanced')}
                for part, value in dict(balanced=record, all=record, submission=public).items():
                    if part in files and (part != 'balanced' or record['isBalanced']):
                        files[part].add(number, value)
            if 'choices' in files:
                for number, question in numbered.values():
                    files['choices'].add(number, make_choices(question, seen))
        for file in files.values():
            file.finish()


Numbered = dict[str, tuple[str, StructuredQuestion]]
"""Id and question by text."""


def number_questions(scene: Scene, families: Sequence[Family]) -> Numbered:
    """Return the questions of families about a picture with their ids, the balanced ones first."""
    questions = [family.question for family in families]
    questions += [other for family in families for other in (*family.equivalent, *family.entailed)]
    texts = {question.text: question for question in reversed(questions)}
    first = SPLITS[scene.split] * _SPLIT + scene.index * _PICTURE
    ordered = dict.fromkeys(question.text for question in questions)
    return {text: (f'{first + number:010d}', texts[text]) for number, text in enumerate(ordered)}


def make_records(families: Sequence[Family], numbered: Numbered, image: str) -> dict[str, dict[str, Any]]:
    """Return the questions about a picture by id, in the form of GQA.

    Args:
        families: See :func:`make_families`.
        numbered: Their questions; see :func:`number_questions`.
        image: Id of the picture.
    """
    ids = {text: number for text, (number, _) in numbered.items()}
    balanced = {family.question.text for family in families}
    equivalent: dict[str, list[str]] = {}
    entailed: dict[str, list[str]] = {}
    for family in families:
        alike = [family.question, *family.equivalent]
        for question in alike:
            # A question that is balanced itself keeps what its own family says.
            if question is family.question or question.text not in balanced:
                equivalent[question.text] = sorted({ids[other.text] for other in alike})
                entailed[question.text] = sorted({ids[other.text] for other in (*alike, *family.entailed)})
    records = {}
    for text, (number, question) in numbered.items():
        steps = [
            dict(operation=step.operation, dependencies=list(step.dependencies), argument=step.argument)
            for step in question.program
        ]
        records[number] = dict(
            semantic=steps,
            entailed=entailed.get(text, [number]),
            equivalent=equivalent.get(text, [number]),
            question=text,
            imageId=image,
            isBalanced=text in balanced,
            groups={'global': question.group, 'local': _local_group(question)},
            answer=question.answer,
            semanticStr='->'.join(f'{step["operation"]}: {step["argument"]} {step["dependencies"]}' for step in steps),
            types=dict(detailed=question.detailed, semantic=question.semantic, structural=question.structural),
        )
    return records


def _local_group(question: StructuredQuestion) -> str:
    noun = question.program[0].argument
    return f'{noun}-{question.group or question.detailed}'


Seen = dict[frozenset[tuple[str, str]], dict[str, set[str]]]


def attributes_seen(scenes: Iterable[Scene]) -> Seen:
    """Return the values of each attribute of the objects that match a description, by all descriptions that occur."""
    seen: Seen = defaultdict(lambda: defaultdict(set))
    for obj in {(o.size, o.color, o.texture, o.shape) for scene in scenes for o in scene.objects}:
        values = tuple(zip(ATTRIBUTES, obj))
        for count in range(len(values) + 1):
            for description in combinations(values, count):
                for name, value in values:
                    seen[frozenset(description)][name].add(value)
    return seen


def make_choices(question: StructuredQuestion, seen: Seen) -> dict[str, list[str]]:
    """Return the choices of a question in the form of GQA.

    Valid are the answers in its range. Plausible are those of them that are true of an object somewhere in the split,
    of which the question says what it says of its own.
    """
    plausible = list(question.valid)
    if question.subject is not None and question.group is not None:
        found = seen[frozenset(question.subject.items())][question.group]
        plausible = [answer for answer in plausible if answer in found]
    return dict(valid=list(question.valid), plausible=plausible)
