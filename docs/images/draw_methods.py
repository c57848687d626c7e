"""Draw the pictures of docs/soho.md and docs/virtex.md from the tensors of models that are in the repository.

python docs/images/draw_methods.py [FOLDER]

The picture is the sample that ships with soho, the first test image of the generated data set; its captions are made
from the same scene. The models are the pretraining of resources/runs/soho_synthetic, and the two of resources/models
that answer questions and write captions.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import torch
from draw_architecture import INK, LINE, MUTED, PAPER, READING, STYLE
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor, nn

import soho
from soho.apis.inferencer import Query
from soho.datasets.synthetic.language import make_captions
from soho.datasets.synthetic.scene import sample_scene
from soho.registry import TRANSFORMS
from soho.visualization.attribution import word_colors

ROOT = Path(__file__).resolve().parents[2]
QUESTION = 'What color is the circle?'
SEED = 1  # of what is masked
SPACE = '\u2581'  # of SentencePiece, before what begins a word
WIDTH = 1000  # of a drawing, in its own units, as in draw_architecture.py


def main(argv: Sequence[str] | None = None) -> None:
    folder = Path(((sys.argv[1:] if argv is None else argv) or [Path(__file__).parent])[0])
    torch.set_num_threads(1)  # sums in one order
    with matplotlib.rc_context(STYLE):
        for draw in (draw_soho_words, draw_soho_targets):
            file = folder / f'{draw.__name__.removeprefix("draw_")}.svg'
            draw().savefig(file, metadata=dict.fromkeys(('Date', 'Creator', 'Format', 'Type')))
        for draw in (draw_soho_attention, draw_virtex_attention):  # many pictures, which a jpg holds in less
            file = folder / f'{draw.__name__.removeprefix("draw_")}.jpg'
            draw().savefig(file, dpi=108, pil_kwargs=dict(quality=88))


def draw_soho_words() -> Figure:
    """The picture, the CNN's map, and the dictionary word of each cell."""
    extractor = open_pretrained()
    picture, feature = read_picture(extractor), extractor(soho.sample_image(), maps=True)
    words = extractor.find_words(soho.sample_image()).cells
    figure = Figure(figsize=(WIDTH / 72, 260 / 72), facecolor=PAPER)
    panels = [figure.add_axes((0.005 + 0.335 * i, 0.01, 0.32, 0.87)) for i in range(3)]
    show(panels[0], picture, f'image: {picture.shape[1]} x {picture.shape[0]} pixels')
    height, width, channels = feature.shape
    length = np.linalg.norm(feature, axis=2)
    show(panels[1], length / length.max(), f'CNN: {width} x {height} cells, norm of {channels} channels')
    tints = 0.5 + word_colors(words) / 510
    show(panels[2], tints, f'dictionary: {words.shape[1]} x {words.shape[0]} cells, {len(np.unique(words))} words')
    for (row, column), word in np.ndenumerate(words):
        panels[2].text(column, min(row, len(words) - 1.25), str(word), ha='center', va='center', size=12, color=INK)
    panels[2].set_ylim(picture.shape[0] / 16 - 0.5, -0.5)  # the last row of cells lies partly below the picture
    return figure


def draw_soho_targets() -> Figure:
    """What pretraining hides in a batch, and what the model takes it for."""
    extractor = open_pretrained()
    own, other = (make_captions(0, sample_scene(0, 'test2015', index)) for index in (0, 1))
    batch = make_batch(extractor, [*own[1:4], other[0]])
    model = extractor.model
    with torch.no_grad():
        visual = model.encode_image(batch['image'], batch['image_size'], batch['mvm_cell'], batch['mvm_sentences'])
        fused = model.fuse(batch['input_ids'], batch['attention_mask'], visual)
        guesses = iter(model.heads.mlm.logits(fused, batch)[0].softmax(1))
        fits = model.heads.itm.match_class(fused.text[:, 0]).softmax(1)[:, 1].tolist()
        cosines, words = model.heads.mvm.scores(fused, batch)
    figure = Figure(figsize=(WIDTH / 72, 330 / 72), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(330, 0))
    axes.axis('off')
    vocabulary = read_vocabulary()
    write(axes, 275, 20, 'MLM: masked words, and the prediction for each', weight='bold')
    write(axes, WIDTH - 15, 20, 'ITM: does it match?', weight='bold', align='right')
    for row, (ids, targets) in enumerate(zip(batch['input_ids'][0].tolist(), batch['mlm_labels'][0].tolist())):
        top = 55 + 72 * row
        text = [vocabulary[target if target >= 0 else token] for token, target in zip(ids, targets)]
        masked = {}
        for place, target in enumerate(targets):
            if target >= 0:
                best, token = next(guesses).max(0)
                masked[place] = vocabulary[int(token)], float(best)
        draw_sentence(
            axes,
            275,
            top,
            [word for word in text if word not in ('[CLS]', '[SEP]', '[PAD]')],
            {place - 1: found for place, found in masked.items()},
        )
        write(axes, WIDTH - 15, top, f'{fits[row]:.2f}', size=14, weight='bold', align='right')
        whose = 'of this image' if batch['itm_labels'][0, row] else 'of another image'
        write(axes, WIDTH - 15, top + 19, whose, size=11, align='right', color=MUTED)
    write(axes, 15, 20, 'MVM: masked cells', weight='bold')
    first = words[: visual.valid.size(1)]  # of the first sentence with a mask
    cells = (first >= 0).view(grid_of(batch))
    picture = read_picture(extractor)
    hide = cv2.resize(
        cells.numpy().astype(np.uint8), tuple(batch['image'].shape[:1:-1]), interpolation=cv2.INTER_NEAREST
    )
    shown = np.where(hide[: len(picture), :, None], 200, picture)
    axes.imshow(shown, extent=(15, 255, 220, 40), aspect='auto', interpolation='none')
    axes.set(xlim=(0, WIDTH), ylim=(330, 0))  # which imshow changes
    guessed = cosines[: len(first)][first >= 0].argmax(1).tolist()
    write(axes, 15, 238, f'masked: word {int(first.max())}, in {len(guessed)} cells')
    write(axes, 15, 258, f'predicted: {", ".join(map(str, guessed))}')
    return figure


def draw_soho_attention() -> Figure:
    """Where each token of a question looks, layer by layer."""
    vqa = soho.VQA('soho_vqa_synthetic', device='cpu')
    sample = vqa.prepare(vqa.query(soho.sample_image(), [QUESTION]))
    model = vqa.model
    batch = model.data_preprocessor(vqa.collate([sample]))
    layers = [layer.attention.self for layer in model.language.bert['encoder'].layer]
    with torch.no_grad(), keep_outputs([part for layer in layers for part in (layer.query, layer.key)]) as kept:
        visual = model.encode_image(batch['image'], batch['image_size'])
        model.fuse(batch['input_ids'], batch['attention_mask'], visual)
    ids = batch['input_ids'][0, 0].tolist()
    keep = torch.cat([batch['attention_mask'][0].bool(), visual.valid], 1)
    rows = []
    for layer in layers:
        weights = attend(kept[layer.query], kept[layer.key], layer.num_attention_heads, keep)[: len(ids), len(ids) :]
        rows.append([(spotlight(sample['image'], at, batch), f'{float(at.sum()):.0%}') for at in weights])
    words = [read_vocabulary()[number] for number in ids]
    return draw_table(words, [f'layer {number}' for number in range(1, len(rows) + 1)], rows)


def draw_virtex_attention() -> Figure:
    """How probable each word of a caption is from either side, and where in the picture it was looked for."""
    captioner = soho.Captioner('virtex_captions_synthetic', device='cpu')
    sample = captioner.prepare(captioner.query(soho.sample_image()))
    batch = captioner.model.data_preprocessor(captioner.collate([sample]))
    tokens = captioner.tokenizer(captioner(soho.sample_image())['caption']).tolist()  # [SOS] ... [EOS]
    piece = captioner.tokenizer.backend.id_to_piece
    language = captioner.model.language
    with torch.no_grad():
        visual = captioner.model.encode_image(batch['image'])
        rows = []
        for backward, transformer in ((False, language.transformer), (True, language.backward_transformer)):
            read = torch.tensor([tokens[::-1] if backward else tokens])
            (layer,) = transformer.layers
            with keep_outputs([layer.norm1, layer]) as kept:
                logits = language(visual.memory, read[:, :-1], torch.tensor([read.size(1) - 1]), backward).logits[0]
            cross = layer.multihead_attn
            size = cross.embed_dim
            query = torch.nn.functional.linear(
                kept[layer.norm1], cross.in_proj_weight[:size], cross.in_proj_bias[:size]
            )
            weights = attend(query, kept[layer][2].keys.transpose(1, 2).flatten(2), cross.num_heads)
            probabilities = logits.softmax(1)
            row = []
            for at, place, token in zip(weights, probabilities, read[0, 1:].tolist()):
                rival = next(other for other in place.topk(2).indices.tolist() if other != token)
                text = f'{place[token]:.2f}\n{piece(rival).lstrip(SPACE)} {place[rival]:.2f}'
                row.append((spotlight(sample['image'], at, batch), text))
            rows.append(row[-2::-1] if backward else row[:-1])  # without the end
    words = [piece(token).lstrip(SPACE) for token in tokens[1:-1]]
    return draw_table(words, ['forward →', '← backward'], rows)


def open_pretrained() -> soho.FeatureExtractor:
    """The pretrained model; its file has neither config nor vocabulary."""
    weights = ROOT / 'resources' / 'runs' / 'soho_synthetic' / 'model.safetensors'
    return soho.FeatureExtractor(weights, config=str(ROOT / 'configs' / 'demo' / 'pretrain_again.py'), device='cpu')


@cache
def read_vocabulary() -> list[str]:
    """The words of the generated data set, which the model that answers questions holds."""
    return soho.VQA('soho_vqa_synthetic', device='cpu').spec.vocabulary['wordpiece'].split('\n')


def read_picture(extractor: soho.FeatureExtractor) -> np.ndarray:
    """(H, W, 3) uint8, the sample as the model sees it."""
    return extractor.prepare(Query([soho.sample_image()], {}))['image']


def make_batch(extractor: soho.FeatureExtractor, sentences: Sequence[str]) -> dict[str, Tensor]:
    """A preprocessed batch of pretraining: the sample with sentences, of which the last is of another picture."""
    fields: dict[str, Any] = dict(sentences=sentences, rng=np.random.default_rng(SEED))
    fields['itm_labels'] = np.arange(len(sentences)) < len(sentences) - 1
    tokenizer = dict(vocab=read_vocabulary(), max_length=32)
    for step in (
        dict(type='Tokenize', tokenizer=tokenizer),
        dict(type='MaskTokens', tokenizer=tokenizer, prob=0.25, matched_only=True),
        dict(type='DrawVisualMask', prob=0.5),
    ):
        fields = TRANSFORMS.build(step).transform(fields)
    names = ('input_ids', 'attention_mask', 'mlm_labels', 'itm_labels', 'mvm_cell', 'mvm_sentences')
    sample = extractor.prepare(Query([soho.sample_image()], {}))
    sample |= {name: fields[name] for name in names} | dict(sentence_mask=np.ones(len(sentences), bool))
    return extractor.model.data_preprocessor(extractor.collate([sample]))


@contextmanager
def keep_outputs(modules: Sequence[nn.Module]) -> Iterator[dict[nn.Module, Any]]:
    """What modules return while the context lasts."""
    kept: dict[nn.Module, Any] = {}
    hooks = [
        module.register_forward_hook(lambda module, _, output: kept.update({module: output})) for module in modules
    ]
    yield kept
    for hook in hooks:
        hook.remove()


def attend(query: Tensor, key: Tensor, heads: int, keep: Tensor | None = None) -> Tensor:
    """(L, T) attention weights, the mean of the heads.

    Args:
        query: (1, L, D).
        key: (1, T, D).
        heads: Number of heads.
        keep: (1, T) bool, what may be attended to.
    """
    query, key = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in (query, key))
    scores = query @ key.transpose(2, 3) * query.size(-1) ** -0.5
    if keep is not None:
        scores = scores.masked_fill(~keep[:, None, None], -torch.inf)
    return scores.softmax(-1).mean(1)[0]


def spotlight(picture: np.ndarray, weights: Tensor, batch: dict[str, Tensor]) -> np.ndarray:
    """(H, W, 3) uint8, the picture, bright where the weights (N,) of its cells are large."""
    canvas = tuple(batch['image'].shape[-2:])
    cells = (weights / weights.max()).view(grid_of(batch)).numpy() ** 0.5
    heat = cv2.resize(cells, canvas[::-1], interpolation=cv2.INTER_NEAREST)[
        : picture.shape[0], : picture.shape[1], None
    ]
    return (picture * (0.15 + 0.85 * heat)).round().astype(np.uint8)


def grid_of(batch: dict[str, Tensor]) -> tuple[int, int]:
    """Rows and columns of a canvas's cells; each of these models has a stride of 16 pixels."""
    height, width = batch['image'].shape[-2:]
    return height // 16, width // 16


def draw_table(titles: Sequence[str], names: Sequence[str], rows: Sequence[Sequence[tuple[np.ndarray, str]]]) -> Figure:
    """Pictures with a text below each, in named rows and titled columns."""
    left = 90
    width = (WIDTH - left) / len(titles)
    lines = rows[0][0][1].count('\n') + 1
    height = 0.75 * (width - 6) + 15 * lines + 12
    total = 28 + height * len(rows)
    figure = Figure(figsize=(WIDTH / 72, total / 72), facecolor=PAPER)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(total, 0))
    axes.axis('off')
    for column, title in enumerate(titles):
        write(axes, left + width * (column + 0.5), 14, title, weight='bold', align='center')
    for row, (name, items) in enumerate(zip(names, rows)):
        top = 28 + height * row
        write(axes, 8, top + 0.375 * (width - 6), name)
        for column, (picture, text) in enumerate(items):
            x, y = left + width * column + 3, top + 0.75 * (width - 6)
            axes.imshow(picture, extent=(x, x + width - 6, y, top), aspect='auto', interpolation='none')
            for line, part in enumerate(text.split('\n')):
                write(
                    axes,
                    x + (width - 6) / 2,
                    y + 9 + 15 * line,
                    part,
                    size=10.5,
                    align='center',
                    color=MUTED if line else INK,
                )
    axes.set(xlim=(0, WIDTH), ylim=(total, 0))  # which imshow changes
    return figure


def draw_sentence(
    axes: Axes, left: float, top: float, words: Sequence[str], masked: dict[int, tuple[str, float]]
) -> None:
    """Words in a row; below a masked one the prediction."""
    for place, word in enumerate(words):
        wide = 8.1 * max(len(word), len(masked[place][0]) if place in masked else 0) + 7
        if left + wide > WIDTH - 150:
            left, top = 275, top + 36
        if place in masked:
            guess, probability = masked[place]
            axes.add_patch(
                FancyBboxPatch((left, top - 10), wide - 5, 20, 'round,pad=0,rounding_size=4', fc=READING, ec=LINE)
            )
            right = guess == word
            write(
                axes,
                left + wide / 2 - 2.5,
                top + 18,
                f'{guess} {probability:.2f}',
                size=9.5,
                align='center',
                color='#18794e' if right else '#b42318',
            )
        write(axes, left + wide / 2 - 2.5, top, word, size=12, align='center')
        left += wide


def show(axes: Axes, image: np.ndarray, title: str) -> None:
    """A picture, a map (inferno) or colours, without axes."""
    axes.imshow(image, cmap='inferno', interpolation='none', aspect='auto')
    axes.set_title(title, size=12, color=INK, pad=5)
    axes.axis('off')


def write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    size: float = 12,
    weight: str = 'normal',
    align: str = 'left',
    color: str = INK,
) -> None:
    axes.text(x, y, text, size=size, weight=weight, ha=align, va='center_baseline', color=color)


if __name__ == '__main__':
    main()
