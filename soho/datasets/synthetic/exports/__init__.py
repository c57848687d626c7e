"""Exports of the data set to the formats of further downloads.

``EXPORTS`` holds one function per format. It takes the folder of a complete data set,
writes into it unless the export is already complete, and returns the number of
images of each part.
"""

from collections.abc import Callable
from pathlib import Path

from .imagenet import export_imagenet
from .inaturalist import export_inaturalist
from .lvis import export_lvis
from .voc import export_voc

EXPORTS: dict[str, Callable[[Path], dict[str, int]]] = dict(
    imagenet=export_imagenet, inaturalist=export_inaturalist, lvis=export_lvis, voc=export_voc
)

__all__ = ['EXPORTS']
