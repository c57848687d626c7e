"""Images that a preparation tool needs: whether all are there, and where those that are not are published."""

from collections.abc import Iterable, Mapping

from soho.datasets.storage.image_store import ImageStore
from soho.errors import UserError, clip
from soho.files import PathLike


def open_images(root: PathLike, source: str) -> ImageStore:
    """Return the images of a folder or zip.

    Args:
        root: See :class:`ImageStore`.
        source: Where they are published.

    Raises:
        FileNotFoundError, UserError: See :class:`ImageStore`.
    """
    try:
        return ImageStore(root)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{error}; they are published at {source}') from error


def check_images(store: ImageStore, names: Mapping[str, Iterable[str]], source: str) -> None:
    """Check that all images of a data set are there; the names in the store, which may be slow to list, are read once.

    Args:
        store: Where they should be.
        names: Their names by split.
        source: Where they are published.

    Raises:
        UserError: Some are not.
    """
    present = set(store.names)
    for split, wanted in names.items():
        if missing := sorted(set(wanted) - present):
            raise UserError(
                f'{len(missing)} images of {split}, such as {clip(missing[0])}, are not in {store.path}; they are '
                f'published at {source}'
            )
