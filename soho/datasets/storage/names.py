"""Names of files below a data set: which are images, nobody's data, or not for an annotation file to say."""

import os

from soho.errors import UserError, quote

IMAGE_EXTENSIONS = ('.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
"""How the name of an image ends, in lower case."""
_LITTER = frozenset({'__MACOSX', 'Thumbs.db', 'ehthumbs.db', 'desktop.ini'})


def is_image(name: str) -> bool:
    """Return whether a file is an image by the end of its name."""
    return name.lower().endswith(IMAGE_EXTENSIONS)


def is_litter(name: str) -> bool:
    """Return whether a file is something that an operating system left in a data set.

    That is what is hidden or lies in a hidden folder (``.DS_Store``, the ``._NAME`` that macOS writes beside a file
    on other file systems), what macOS packs under ``__MACOSX``, and thumbnails and settings of Windows.
    Litter is never a class, an image, a list or a shard.

    Args:
        name: Path below the data set, with slashes.
    """
    return any((part.startswith('.') and part != '.') or part in _LITTER for part in name.split('/'))


def is_folder(entry: os.DirEntry) -> bool:
    """Return whether an entry is a folder or a link to one; a link that leads nowhere, or round in a circle, is not."""
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def check_name(name: str) -> None:
    """Check that a file name, as an annotation file has it, stays below the folder of the images.

    A link in that folder is its owner's choice and followed, wherever it leads; a name comes with the annotations, from
    anywhere.

    Raises:
        UserError: The name is empty, absolute, goes up with ``..``, or holds a NUL character.
    """
    if not name or name[0] == '/' or '\0' in name or ('..' in name and '..' in name.split('/')):
        raise UserError(
            f'the file name {quote(name)} does not stay below the folder of the images: it should be relative, '
            "without '..'"
        )
