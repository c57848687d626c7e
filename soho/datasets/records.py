"""What annotation formats hold, as typed records: each class is one kind of item, checked where a file is read.

:func:`soho.datasets.storage.json_records.stream_records` reads them. A record has the keys that this project uses;
others are ignored. Behind these checks nothing is checked again but what one record cannot show: that a label is in the
answer list, or that an image is in the list of images.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from soho.errors import quote

Integer = Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""A whole number that fits in 64 bits."""
Identity = Integer | Annotated[str, Meta(min_length=1)]
"""Id of an image, a question or an object: a number or a text. ``1`` and ``'1'`` are different ids."""
Name = Annotated[str, Meta(min_length=1)]
Pixels = Annotated[int, Meta(ge=1, le=(1 << 31) - 1)]
"""Height or width of an image."""
Coordinate = Annotated[float, Meta(ge=-1e9, le=1e9)]
"""Place in an image, in pixels; it may lie outside."""
Extent = Annotated[float, Meta(ge=0, le=1e9)]
"""Height or width of a box, in pixels."""
Share = Annotated[float, Meta(ge=0, le=1)]
Flag = bool | Annotated[int, Meta(ge=0, le=1)]
Answer = str | int | float
"""An answer; numbers are read as the text that JSON writes for them."""


class ImageRecord(Struct, gc=False):
    """An image: its file, its id and its size."""

    file_name: Name
    image_id: Identity
    height: Pixels
    width: Pixels


class ListedImage(Struct):
    """An image of a data set that may not state sizes."""

    file_name: Name
    image_id: Identity
    height: Pixels | None = None
    width: Pixels | None = None


class CaptionedImage(ImageRecord):
    """An image of the official pretraining files (``*_cap_*_pre.json``)."""

    captions: list[str]


class Question(Struct):
    """A question with its soft-scored answers, of the official ``*_data_vqa.json``; the type is ours."""

    question: str
    question_id: Identity
    labels: list[Integer] = []
    scores: list[Share] = []
    question_type: str | None = None


class QuestionedImage(ImageRecord):
    """An image of the official ``*_data_vqa.json``, or in the test file one question about an image."""

    vqa: list[Question] | None = None
    question: str | None = None
    question_id: Identity | None = None
    labels: list[Integer] = []
    scores: list[Share] = []

    def __post_init__(self) -> None:
        if self.vqa is None and (self.question is None or self.question_id is None):
            raise ValueError("has neither a list 'vqa' nor 'question' and 'question_id'")


class LabeledImage(ImageRecord):
    """An image with one label for each attribute, -1 where it is not known."""

    labels: list[Integer]


class AskedQuestion(Struct):
    """A question of VQA's ``*_questions.json``."""

    question_id: Identity
    image_id: Identity
    question: str


class AnnotatorAnswer(Struct):
    """The answer of one annotator."""

    answer: Answer


class AnsweredQuestion(Struct):
    """Answers to a question, of VQA's ``*_annotations.json``."""

    question_id: Identity
    answers: Annotated[list[AnnotatorAnswer], Meta(min_length=1)]
    answer_type: str | None = None
    question_type: str | None = None
    multiple_choice_answer: Answer | None = None


class Listed(Struct):
    """Whatever a COCO file lists by an ``id``, as an image whose size is not needed."""

    id: Identity


class ImageReference(Struct):
    """An item that belongs to an image."""

    image_id: Identity


class CocoImage(Listed):
    """An image of a COCO file."""

    file_name: Name
    height: Pixels
    width: Pixels


class LVISImage(Listed):
    """An image of an LVIS file, whose ``coco_url`` ends in folder and name."""

    coco_url: Name
    height: Pixels
    width: Pixels


class Caption(Struct):
    """A caption of whatever image."""

    caption: str


class CocoCaption(ImageReference):
    """A caption of COCO's ``captions_*.json``."""

    caption: str


class CategoryId(Listed):
    """A category without its name; results are written with its number."""

    id: Integer  # pyrefly: ignore


class Category(CategoryId):
    """A category of objects."""

    name: str


class Attribute(Category):
    """An attribute of objects, as Fashionpedia adds them to COCO's format."""

    supercategory: str


class CategoryOfImage(ImageReference):
    """The category of an object, or of a whole image."""

    category_id: Integer


class BoxedObject(CategoryOfImage):
    """An object with its box (x, y, width, height) in pixels."""

    bbox: tuple[Coordinate, Coordinate, Extent, Extent]
    iscrowd: Flag = False


class RunLengths(Struct):
    """A mask as lengths of runs in column order, background first: as numbers, or in COCO's compressed form."""

    size: tuple[Pixels, Pixels]
    """(height, width)."""
    counts: list[Integer] | str


Segmentation = list[list[Coordinate]] | RunLengths
"""Polygons, each x, y, x, y, ..., or run lengths."""


class OutlinedObject(BoxedObject):
    """An object with its mask."""

    segmentation: Segmentation | None = None


class TruthObject(OutlinedObject):
    """An object that detections are compared with."""

    area: Annotated[float, Meta(ge=0, le=1e18)] | None = None


class TruthImage(Listed):
    """An image that detections are compared in; masks need its size."""

    height: Pixels | None = None
    width: Pixels | None = None


class LVISTruthImage(TruthImage, kw_only=True):
    """An image that LVIS was annotated in, with the categories known to be absent or not marked everywhere."""

    neg_category_ids: list[Integer]
    not_exhaustive_category_ids: list[Integer]


class LVISCategory(CategoryId):
    """A category with its frequency: ``r``, ``c`` or ``f``."""

    frequency: Annotated[str, Meta(pattern='^[rcf]$')]


class CroppedObject(BoxedObject):
    """An object that is cut out, with its id and its attributes."""

    id: Identity | None = None
    attribute_ids: list[Integer] = []


class VOCSize(Struct):
    """Size of an image of PASCAL VOC; the values of its XML are texts."""

    height: Pixels
    width: Pixels


class VOCBox(Struct):
    """Box of an object of PASCAL VOC, in pixels that are counted from 1."""

    xmin: Coordinate
    ymin: Coordinate
    xmax: Coordinate
    ymax: Coordinate

    def __post_init__(self) -> None:
        if self.xmax < self.xmin or self.ymax < self.ymin:
            raise ValueError('ends before it begins')


class GenomeImage(Struct):
    """An image of Visual Genome's ``image_data.json``."""

    image_id: Identity
    height: Pixels
    width: Pixels
    coco_id: Identity | None = None


class Region(Struct):
    """A region of Visual Genome."""

    phrase: str


class ImageRegions(Struct):
    """The regions of an image, of Visual Genome's ``region_descriptions.json``, which calls it ``id``."""

    regions: list[Region]
    id: Identity | None = None
    image_id: Identity | None = None


class NamedImage(Struct):
    """An image that is known by its file alone."""

    file_name: Name


ENTAILMENT_LABELS = ('contradiction', 'neutral', 'entailment')


class EntailmentStatement(Struct):
    """A line of SNLI-VE, with one of these labels, or '-'; ``tools/prepare/snli_ve.py`` adds the size of the image."""

    Flickr30K_ID: Identity
    gold_label: str
    sentence2: str
    pairID: str | None = None
    height: Pixels | None = None
    width: Pixels | None = None


class KarpathySentence(Struct):
    """A caption of Karpathy's ``dataset_NAME.json``."""

    raw: str


class KarpathyImage(Struct):
    """An image of Karpathy's ``dataset_NAME.json``."""

    filename: Name
    split: str
    sentences: list[KarpathySentence]
    filepath: Name | None = None
    cocoid: Integer | None = None


class ExampleName(Struct):
    """A line of NLVR or NLVR2, of which only the name counts."""

    identifier: Name


class LabeledStatement(ExampleName):
    """A statement about images, as a line of NLVR and NLVR2 has it; the label is absent where it is not public."""

    sentence: str
    label: str | bool | None = None
    directory: Identity | None = None

    def __post_init__(self) -> None:
        if not self.sentence.strip():
            raise ValueError('has an empty sentence; it is a text that is not empty')
        if self.label is not None and str(self.label).lower() not in ('true', 'false'):
            raise ValueError(f'has the label {quote(self.label)}; a label is True or False')


class NLVRStatement(LabeledStatement):
    """A line of NLVR, whose three boxes are drawn in their six orders."""

    images: tuple[Name, Name, Name, Name, Name, Name] | None = None


class NLVR2Statement(LabeledStatement):
    """A line of NLVR2; ``tools/prepare/nlvr2.py`` adds the names and sizes of the left and the right image."""

    images: tuple[Name, Name] | None = None
    sizes: tuple[tuple[Pixels, Pixels], tuple[Pixels, Pixels]] | None = None
    """(height, width) of both."""


class GQAQuestion(Struct):
    """A question of GQA, whose id is its key in the file; the answer is absent where it is not public."""

    question: str
    imageId: Identity
    answer: str | None = None

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise ValueError('has an empty question; it is a text that is not empty')


class GQAStep(Struct):
    """A step of the program that a question of GQA is made from."""

    operation: str
    argument: str | None = None


class GQATypes(Struct):
    """The types of a question of GQA."""

    structural: str
    semantic: str
    detailed: str | None = None


class GQAGroups(Struct):
    """The groups that the answer to a question of GQA is in, of which the metrics count the ``global`` one."""

    global_: str | None = field(name='global')


class GQATruth(Struct):
    """A question of GQA with what the official metrics read of it, which comes with an answer."""

    question: str
    isBalanced: Flag | None = None
    answer: str | None = None
    semantic: list[GQAStep] | None = None
    types: GQATypes | None = None
    groups: GQAGroups | None = None
    entailed: list[str] | None = None

    def __post_init__(self) -> None:
        needed = ('semantic', 'types', 'groups', 'entailed', 'isBalanced')
        missing = [name for name in needed if getattr(self, name) is None]
        if self.answer is not None and missing:
            raise ValueError(f'has an answer, but not {missing[0]!r}, which every answered question of GQA has')


class GQAChoices(Struct):
    """Answers in the range of a question of GQA, and those that make sense in the real world."""

    valid: list[str]
    plausible: list[str]


class GQAPrediction(Struct):
    """A prediction as GQA's server takes it."""

    questionId: Name
    prediction: str


class VQAPrediction(Struct):
    """A prediction as EvalAI takes it for VQA."""

    question_id: Integer
    answer: str


class GeneratedData(Struct):
    """The ``synthetic.json`` of a generated data set, with the seed that its exports go on from."""

    seed: Integer
