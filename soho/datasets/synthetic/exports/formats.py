"""The data set in the formats of further downloads, made from its COCO files when asked for.

``EXPORTS`` holds one function a format: it takes the folder of a complete data set,
writes beside its files, leaves alone what is complete already, and returns how
many images each part holds.
"""

from collections.abc import Callable
from pathlib import Path

from soho.datasets.synthetic.exports.gqa import export_gqa
from soho.datasets.synthetic.exports.imagenet import export_imagenet
from soho.datasets.synthetic.exports.inaturalist import export_inaturalist
from soho.datasets.synthetic.exports.lvis import export_lvis
from soho.datasets.synthetic.exports.nlvr2 import export_nlvr2
from soho.datasets.synthetic.exports.snli_ve import export_snli_ve
from soho.datasets.synthetic.exports.voc import export_voc

EXPORTS: dict[str, Callable[[Path], dict[str, int]]] = dict(
    gqa=export_gqa,
    imagenet=export_imagenet,
    inaturalist=export_inaturalist,
    lvis=export_lvis,
    nlvr2=export_nlvr2,
    snli_ve=export_snli_ve,
    voc=export_voc,
)
