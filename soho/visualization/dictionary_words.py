"""Words of the visual dictionary as a page shows them: each by the regions of pictures that are nearest to it."""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from soho.visualization.dictionary_atlas import Atlas, Patch
from soho.visualization.pictures import crop_patch, jpeg_uri
from soho.visualization.report import Word, WordPatch


def cut_words(
    atlas: Atlas,
    words: Sequence[int],
    read_picture: Callable[[int], np.ndarray],
    number: int,
    longest: int,
    quality: int = 80,
) -> list[Word]:
    """Return words with the regions nearest to them; a picture is read once for all.

    Args:
        atlas: Of the pictures.
        words: Their numbers.
        read_picture: Returns the picture of a sample, (H, W, 3) uint8 RGB.
        number: Regions of a word, at most one from a picture.
        longest: Pixels of the longer side of a region.
        quality: Of its JPEG.
    """
    wanted: dict[int, list[tuple[int, int, Patch]]] = defaultdict(list)  # of each picture: word, place, region
    for word in words:
        for place, patch in enumerate(atlas.patches(word, number)):
            wanted[patch.item].append((word, place, patch))
    found: dict[int, dict[int, WordPatch]] = defaultdict(dict)
    for item in sorted(wanted):
        picture = read_picture(item)
        for word, place, patch in wanted[item]:
            crop, box = crop_patch(picture, patch)
            found[word][place] = WordPatch(jpeg_uri(crop, longest, quality), box)
    share = atlas.counts / atlas.counts.sum()
    return [Word(word, share[word], [found[word][place] for place in sorted(found[word])]) for word in words]
