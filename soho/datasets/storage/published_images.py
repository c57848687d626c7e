"""Images that a preparation tool needs: whether all are there, and where those that are not are published."""

from collections.abc import Iterable

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


def check_images(store: ImageStore, names: Iterable[str], split: str, source: str) -> None:
    """Check that all images of a split are there, which takes no more than the list of the store's names.

    Args:
        store: Where they should be.
        names: Their names.
        split: For the message.
        source: Where they are published.

    Raises:
        UserError: Some are not.
    """
    if missing := sorted(set(names).difference(store.names)):
        raise UserError(
            f'{len(missing)} images of {split}, such as {clip(missing[0])}, are not in {store.path}; they are '
            f'published at {source}'
        )
