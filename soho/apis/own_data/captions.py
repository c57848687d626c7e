"""Captions of a table: annotation files of COCO, the vocabulary, and the one caption that fits all pictures best."""

from collections.abc import Sequence
from pathlib import Path

from soho.apis.own_data.content import Content, Prepared
from soho.apis.own_data.request import Request
from soho.apis.own_data.rows import SPLITS
from soho.datasets.sentence_piece import train_vocabulary
from soho.datasets.storage.json_files import write_json
from soho.errors import count_of
from soho.evaluation.baselines import choose_constant_caption
from soho.evaluation.captions.metric import load_references, score_captions
from soho.files import atomic_path

VOCABULARY = 'captions.model'


def prepare_captions(request: Request, content: Content) -> Prepared:
    """Write the files of a table of captions."""
    files, by_picture = write_captions(request.out, content)
    captions = {split: [text for texts in images.values() for text in texts] for split, images in by_picture.items()}
    size = min(10000, max(200, 2 * len({word for text in captions['train'] for word in text.lower().split()})))
    with atomic_path(request.out / VOCABULARY) as path:
        size = fit_vocabulary(captions['train'], path, size)
    constant = choose_constant_caption(list(by_picture['train'].values()), request.seed)
    cider = constant_cider(request.out / files['val'], constant)
    return Prepared(
        files,
        lambda file: (
            f"annotation_file=data_root + '/{file}', tokenizer=dict(vocab=data_root + '/{VOCABULARY}'), "
            f'constant_caption={constant!r}'
        ),
        [
            *(
                f'{split}: {count_of(len(by_picture[split]), "picture")}, {count_of(len(captions[split]), "caption")}'
                for split in files
            ),
            f'{size} entries in {VOCABULARY}',
            f'baseline on val, {constant!r} for every picture: CIDEr {cider:.3f}',
        ],
        model=f'language=dict(vocab_size={size})',
        vocabulary=VOCABULARY,
    )


def write_captions(out: Path, content: Content) -> tuple[dict[str, str], dict[str, dict[str, list[str]]]]:
    """Write ``captions_train.json`` and so on in COCO's format.

    Returns:
        The files by split, and the captions by split and file name of the picture.
    """
    captions: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    coco: dict[str, dict[str, list]] = {split: dict(images=[], annotations=[]) for split in SPLITS}
    numbers: dict[str, int] = {}
    for row, split in zip(content.rows, content.splits):
        size = content.pictures[row.images[0]].size
        if size.file_name not in numbers:
            numbers[size.file_name] = len(numbers)
            image = dict(id=numbers[size.file_name], file_name=size.file_name, height=size.height, width=size.width)
            coco[split]['images'].append(image)
        count = len(coco[split]['annotations'])
        coco[split]['annotations'].append(dict(id=count, image_id=numbers[size.file_name], caption=row.text))
        captions[split].setdefault(size.file_name, []).append(row.text)
    files = {split: f'captions_{split}.json' for split in SPLITS if captions[split]}
    for split, name in files.items():
        write_json(out / name, coco[split])
    return files, captions


def fit_vocabulary(captions: Sequence[str], path: Path, size: int) -> int:
    """Train the largest vocabulary of at most ``size`` entries that the captions have pieces for; return its size.

    Raises:
        UserError: The captions are too few for a vocabulary of 50 entries.
    """
    while True:
        try:
            train_vocabulary(captions, path, size)
            return size
        except ValueError:
            if size < 100:
                raise
            size //= 2


def constant_cider(annotations: Path, caption: str) -> float:
    """Return the CIDEr-D of one caption for every picture of an annotation file."""
    references = load_references(annotations)
    return score_captions(dict.fromkeys(references, caption), references)['cider'].overall
