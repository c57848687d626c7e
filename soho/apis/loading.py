"""The inferencer of a checkpoint, whatever it was trained for."""

import os
from collections.abc import Sequence
from typing import Any

from soho.apis.feature_extractor import FeatureExtractor
from soho.apis.inferencer import Inferencer, find_class
from soho.apis.opening import open_model


def load(
    source: str | os.PathLike,
    *,
    config: str | None = None,
    class_names: str | os.PathLike | Sequence[str] | None = None,
    vocabulary: str | None = None,
    revision: str | None = None,
    **options: Any,
) -> Inferencer:
    """The inferencer that asks a model: :class:`soho.VQA`, :class:`soho.Captioner`, ...

    A model that none of them asks, such as one that was only pretrained, gives features
    (:class:`soho.FeatureExtractor`).

    Args:
        source: Name of a shipped or published model, file, folder, address or Hub id, see
            :func:`soho.apis.opening.open_model`.
        config, class_names, vocabulary, revision: Likewise.
        **options: ``device``, ``dtype``, ``batch_size``, ``workers`` of :class:`soho.apis.inferencer.Inferencer`.
    """
    opened = open_model(source, config, class_names, vocabulary, revision)
    kind = find_class(opened.spec.dataset if opened.spec else '') or FeatureExtractor
    return kind(opened, **options)
