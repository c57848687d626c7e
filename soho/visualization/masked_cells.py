"""The cells of each picture that masked visual modelling masks."""

import numpy as np
import torch

from soho.datasets.batch import Batch
from soho.models.necks.dictionary_neck import DictionaryNeck
from soho.models.soho import SOHO


@torch.no_grad()
def find_masked_cells(model: SOHO, batch: Batch, trained: bool) -> list[np.ndarray]:
    """The cells of each picture that are masked for some sentence, (h, w) bool over its canvas.

    Args:
        model: In eval mode, with a :class:`DictionaryNeck`.
        batch: As collated, with ``mvm_cell`` and ``mvm_sentences``.
        trained: Whether the model's dictionary has been learnt. All cells of the drawn cell's word are masked, which
            a dictionary of random words does not know: without, it is the drawn cell alone.
    """
    neck = model.neck
    assert isinstance(neck, DictionaryNeck), 'a model with a visual dictionary'
    batch = model.data_preprocessor(batch)
    masked = []
    for row in range(len(batch['image'])):  # one at a time, so that sixteen photographs need no memory
        one = slice(row, row + 1)
        visual = model.encode_image(batch['image'][one], batch['image_size'][one])
        words = visual.words if trained else torch.arange(visual.valid.size(1), device=visual.valid.device)[None]
        assert words is not None and visual.grid is not None
        cells = neck.masked_cells(words, visual.valid, batch['mvm_cell'][one]) & batch['mvm_sentences'][one].any()
        masked.append(cells.view(visual.grid).cpu().numpy())
    return masked
