"""Where in a picture a result came from, and which dictionary words the picture holds.

The map is that of integrated gradients (Sundararajan et al., arXiv:1703.01365): what each visual token contributes to
the logit of the result on the way from the tokens of an empty picture to those of this one. The contributions add up
to the difference of the two logits; only what speaks for the result is shown.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from soho.datasets.batch import Batch
from soho.errors import UserError
from soho.models.heads.classification import ClassificationHead
from soho.models.heads.positions import cls_positions
from soho.models.necks.dictionary_neck import DictionaryNeck
from soho.models.soho import SOHO
from soho.models.structures import VisualTokens
from soho.models.virtex import VirTex

SHORTEST = 384  # pixels of a picture that is shown
OPACITY = 0.6  # of the map where it is strongest
STEPS = 16  # of the integral; they are the rows of one batch


class Grid(NamedTuple):
    """A value for each cell of a picture's feature map, and what part of the map the picture covers."""

    cells: np.ndarray
    """(h, w), over the canvas."""
    canvas: tuple[int, int]
    """Height and width in pixels."""
    size: tuple[int, int]
    """Height and width of the picture at the top left of the canvas."""

    def to_pixels(self, smooth: bool) -> np.ndarray:
        """(H, W), the value of each pixel of the picture; ``smooth`` interpolates between cells."""
        mode = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
        canvas = cv2.resize(self.cells.astype(np.float32), self.canvas[::-1], interpolation=mode)
        return canvas[: self.size[0], : self.size[1]]


def explain_answer(
    model: SOHO, batch: Batch, head: ClassificationHead, label: int | None = None
) -> tuple[Tensor, np.ndarray]:
    """Logits of the answers to a question, and where in the picture one of them came from.

    Args:
        model: In eval mode.
        batch: One picture and one question, as collated.
        head: Of the model.
        label: The answer that is explained; by default the most probable.

    Returns:
        (A,) float32 logits on the CPU, and the map (H, W) float32 in [0, 1] over the picture as the model sees it.

    Raises:
        UserError: The model does not look at the picture.
    """
    if model.neck is None:
        raise UserError('this model answers without looking at the picture')
    batch = model.data_preprocessor(batch)
    with torch.no_grad():
        visual = model.encode_image(batch['image'], batch['image_size'])
        empty = model.encode_image(torch.zeros_like(batch['image']), batch['image_size'])
        length = batch['input_ids'].size(2)
        answer = model.fuse(batch['input_ids'], batch['attention_mask'], visual, cls_positions(batch['input_ids']))
        logits = head(answer, batch)[0].float()
    chosen = int(logits.argmax()) if label is None else label
    text = {name: batch[name].expand(STEPS, 1, length) for name in ('input_ids', 'attention_mask')}

    def score(tokens: Tensor) -> Tensor:
        steps = VisualTokens(tokens[:, None], visual.valid.expand(STEPS, -1))
        fused = model.fuse(text['input_ids'], text['attention_mask'], steps, cls_positions(batch['input_ids']))
        rows = dict(batch, sentence_mask=batch['sentence_mask'].expand(STEPS, 1))
        return head(fused, rows)[:, chosen].float().sum()

    contribution = _integrate(score, visual.tokens[:, 0], empty.tokens[:, 0]) * visual.valid[0]
    assert visual.grid is not None
    heat = _heat(contribution, visual.grid)
    return logits.cpu(), _over_picture(heat, batch).to_pixels(smooth=True).clip(0, 1)


def explain_caption(model: VirTex, batch: Batch, tokens: list[int]) -> np.ndarray:
    """Where in the picture a caption came from, (H, W) float32 in [0, 1] over the picture as the model sees it.

    Args:
        model: In eval mode.
        batch: One picture, as collated.
        tokens: The caption with [SOS] and, if it has ended, [EOS].
    """
    language = model.language
    assert language is not None, 'a model that writes captions'
    batch = model.data_preprocessor(batch)
    with torch.no_grad():
        visual = model.encode_image(batch['image'])
        empty = model.encode_image(torch.zeros_like(batch['image'])).memory
    assert visual.memory is not None and empty is not None
    text = torch.tensor([tokens], device=empty.device).expand(STEPS, -1)
    lengths = torch.full((STEPS,), text.size(1) - 1, device=empty.device)

    def score(memory: Tensor) -> Tensor:
        logits = language(memory, text[:, :-1], lengths).logits.float()
        return logits.log_softmax(-1).gather(2, text[:, 1:, None]).sum()

    height, width = visual.feature.shape[-2:]
    heat = _heat(_integrate(score, visual.memory, empty), (height, width))
    return _over_picture(heat, batch).to_pixels(smooth=True).clip(0, 1)


@torch.no_grad()
def read_words(model: SOHO, batch: Batch) -> Grid:
    """The dictionary word of each cell of one picture, -1 where the canvas is empty.

    Raises:
        UserError: The model has no dictionary.
    """
    if not isinstance(model.neck, DictionaryNeck):
        raise UserError(
            f'this model has no visual dictionary: its neck is {type(model.neck).__name__}, as after fine-tuning; a '
            'pretrained one has it'
        )
    batch = model.data_preprocessor(batch)
    visual = model.encode_image(batch['image'], batch['image_size'])
    assert visual.words is not None and visual.grid is not None
    words = visual.words.masked_fill(~visual.valid, -1)[0]
    return _over_picture(words.view(visual.grid).cpu().numpy(), batch)


def draw_heat(picture: np.ndarray, heat: np.ndarray) -> Image.Image:
    """A picture under its map, enlarged where it is small.

    Args:
        picture: (H, W, 3) uint8 RGB.
        heat: (H, W) in [0, 1].
    """
    picture, heat = _enlarge(picture, cv2.INTER_CUBIC), _enlarge(heat.astype(np.float32), cv2.INTER_LINEAR)
    colors = cv2.cvtColor(cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    weight = OPACITY * heat[:, :, None]
    return Image.fromarray((picture * (1 - weight) + colors * weight).round().astype(np.uint8))


def draw_words(picture: np.ndarray, words: Grid) -> Image.Image:
    """A picture whose cells are tinted by their word: cells of one tint hold the same."""
    pixels = _enlarge(words.to_pixels(smooth=False), cv2.INTER_NEAREST).astype(np.int64)
    picture = _enlarge(picture, cv2.INTER_CUBIC)
    return Image.fromarray((0.6 * picture + 0.4 * word_colors(pixels)).round().astype(np.uint8))


def word_colors(words: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8 RGB, the tints of words (h, w) in a drawing; there are 180."""
    # Neighbouring numbers get distant hues: steps of the golden ratio around the circle of 180 degrees.
    hue = ((words * 111.25) % 180).astype(np.uint8)
    full = np.full_like(hue, 255)
    return cv2.cvtColor(np.stack([hue, full, full], axis=2), cv2.COLOR_HSV2RGB)


def _enlarge(image: np.ndarray, mode: int) -> np.ndarray:
    factor = SHORTEST / min(image.shape[:2])
    return image if factor <= 1 else cv2.resize(image, None, fx=factor, fy=factor, interpolation=mode)


def _integrate(score: Callable[[Tensor], Tensor], tokens: Tensor, empty: Tensor) -> Tensor:
    """(N,), what each cell contributes to a score on the way from the tokens of an empty picture to ``tokens``.

    Args:
        score: (STEPS, N, D) tokens to the sum of their scores.
        tokens: (1, N, D).
        empty: (1, N, D).
    """
    with torch.enable_grad():
        share = (torch.arange(STEPS, device=tokens.device) + 0.5) / STEPS
        path = (empty + share[:, None, None] * (tokens - empty)).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(score(path), path)
    return ((tokens - empty)[0] * gradient.mean(0)).sum(-1)


def _heat(contribution: Tensor, grid: tuple[int, int]) -> np.ndarray:
    """(h, w) float32, what speaks for the result, 1 at the largest."""
    heat = contribution.detach().float().clamp(min=0).view(grid)
    return (heat / heat.max().clamp(min=1e-12)).cpu().numpy()


def _over_picture(cells: np.ndarray, batch: Batch) -> Grid:
    height, width = batch['image'].shape[-2:]
    rows, columns = batch['image_size'][0].tolist()
    return Grid(cells, (height, width), (rows, columns))
