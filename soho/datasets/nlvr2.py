"""NLVR2: a statement about two photographs, in the official format (Suhr et al., ACL 2019, arXiv:1811.00491)."""

import re
from typing import Any, NamedTuple

import numpy as np

from soho.datasets.base import group_sentences
from soho.datasets.image_table import ImageTable
from soho.datasets.records import ListedImage, NLVR2Statement
from soho.datasets.statements import StatementDataset, check_unique, parse_label
from soho.datasets.storage.json_records import stream_lines
from soho.datasets.storage.packed_strings import PackedStrings
from soho.datasets.transforms.image import swap_sides
from soho.errors import UserError, quote
from soho.registry import DATASETS

SPLITS = ('train', 'dev', 'test1', 'test2')


class Identifier(NamedTuple):
    """Identifier of an example, ``split-set-pair-sentence`` such as ``dev-850-0-1``."""

    split: str
    set: int
    """The eight photographs that a sentence was written for."""
    pair: int
    """Which of their four pairs it is, 0 to 3."""
    sentence: int

    @property
    def pair_name(self) -> str:
        """``dev-850-0``, with which the names of both images begin."""
        return f'{self.split}-{self.set}-{self.pair}'

    @property
    def group(self) -> str:
        """``dev-850-1``, the sentence with all pairs of its set, over which consistency is counted."""
        return f'{self.split}-{self.set}-{self.sentence}'


def parse_identifier(text: str, where: str) -> Identifier:
    """Return the parts of an identifier.

    Args:
        text: Such as ``'dev-850-0-1'``.
        where: Where it stands, for the error.

    Raises:
        UserError: It does not have these four parts.
    """
    split, *numbers = text.split('-')
    if split not in SPLITS or len(numbers) != 3 or not all(re.fullmatch(r'[0-9]{1,9}', number) for number in numbers):
        raise UserError(
            f'{where} has the identifier {quote(text)}; it must be {"|".join(SPLITS)}-SET-PAIR-SENTENCE, such as '
            'dev-850-0-1'
        )
    return Identifier(split, *map(int, numbers))


def image_names(record: NLVR2Statement, identifier: Identifier) -> tuple[str, str]:
    """Return the names of the left and the right image of an example.

    Args:
        record: ``images``, the two names, where it has them; else the official names, in the folder ``directory``
            where the record has one, as those of train do.
        identifier: Its identifier.
    """
    if record.images is not None:
        return record.images
    start = identifier.pair_name if record.directory is None else f'{record.directory}/{identifier.pair_name}'
    return f'{start}-img0.png', f'{start}-img1.png'


@DATASETS.register_module()
class NLVR2Dataset(StatementDataset):
    """Pairs of photographs with up to ``sentence_group`` statements about both.

    The annotation file has an object a line: ``identifier``, ``sentence`` and ``label`` ("True" or "False"; absent
    where it is not public), as the official ``train.json``, ``dev.json``, ``test1.json``. A pair has up to two
    statements, which share its images in a sample. ``tools/prepare/nlvr2.py`` adds ``images`` (two names) and
    ``sizes`` (h, w of both), with which batches can be grouped by shape.

    Args:
        swap_averaging: In test mode, every sample a second time with the images in reverse order and "left" and
            "right" exchanged in its statements; :class:`soho.evaluation.statements.StatementAccuracy` averages
            the two.
        **kwargs: See :class:`ImageTextDataset`.

    Raises:
        UserError: An identifier does not parse or is repeated, a label is neither True nor False, a sentence is
            empty, or an example has other than two images.
    """

    def __init__(self, *args, swap_averaging: bool = False, **kwargs) -> None:
        self.swap_averaging = swap_averaging
        super().__init__(*args, **kwargs)
        if swap_averaging and not self.test_mode:
            raise UserError(
                f'{self.ann_file}: swap_averaging is for evaluation (test_mode=True); training has SwapImages'
            )

    def load_annotations(self) -> None:
        sentences, labels, identifiers = [], [], []
        images: dict[str, ListedImage] = {}
        pairs: dict[tuple[str, ...], list[int]] = {}  # names of the images to the examples
        for record in stream_lines(self.ann_file, NLVR2Statement):
            identifier = parse_identifier(record.identifier, self.ann_file)
            names = image_names(record, identifier)
            pairs.setdefault(names, []).append(len(identifiers))
            for name, size in zip(names, record.sizes or ((), ())):
                images.setdefault(name, ListedImage(name, name, *size))
            identifiers.append(identifier)
            sentences.append(record.sentence)
            labels.append(parse_label(record.label))
        texts = ['-'.join(map(str, identifier)) for identifier in identifiers]
        check_unique(texts, self.ann_file)
        self.sentences, self.labels = PackedStrings(sentences), np.array(labels, np.int64)
        self.identifiers, self.groups = PackedStrings(texts), PackedStrings(i.group for i in identifiers)

        large: list[str] = []
        self.images = ImageTable(iter(images.values()), lambda record: large.append(record.file_name), self.min_side)
        row = {name: number for number, name in enumerate(large)}
        # A pair of which one image is too small is left out.
        kept = {names: examples for names, examples in pairs.items() if all(name in row for name in names)}
        rows = np.array([[row[name] for name in names] for names in kept], np.int64).reshape(-1, 2)
        counts = np.array([len(examples) for examples in kept.values()], np.int64)
        self.examples = np.array([example for examples in kept.values() for example in examples], np.int64)
        pair, self.first, self.length = group_sentences(counts, self.sentence_group)
        self.item_images = rows[pair]
        if self.swap_averaging:
            self.item_images = np.concatenate([self.item_images, self.item_images[:, ::-1]])

    def get_annotation(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """See :meth:`StatementDataset.describe`; and ``training``, which allows :class:`SwapImages` to swap."""
        again, item = divmod(index, len(self.first))
        examples = self.examples[self.first[item] : self.first[item] + self.length[item]].tolist()
        sentences = [self.sentences[example] for example in examples]
        if again:
            sentences = [swap_sides(sentence) for sentence in sentences]
        return dict(self.describe(examples, sentences, self.sentence_group), training=not self.test_mode)
