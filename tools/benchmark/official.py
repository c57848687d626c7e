"""Import of the official releases, unchanged, without the libraries of their time."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import MagicMock


@contextmanager
def checkout(folder: Path, package: str, stand_ins: Sequence[str], **attributes: str) -> Iterator[None]:
    """Put an unchanged checkout on the import path.

    Modules that its files import but a model does not need are replaced
    by mocks, unless they are installed.

    Args:
        folder: Folder of the checkout.
        package: Name of the package in it.
        stand_ins: Names of the modules that may be missing.
        **attributes: Attributes of every mock.

    Raises:
        FileNotFoundError: The folder does not hold the package.
    """
    if not (folder / package / '__init__.py').is_file():
        raise FileNotFoundError(
            f'{folder} does not hold the package {package}: give the top folder of a checkout '
            'of the official repository'
        )
    sys.path.insert(0, str(folder))
    added = [name for name in stand_ins if not _importable(name)]
    sys.modules.update({name: MagicMock(**attributes) for name in added})
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in added:
            del sys.modules[name]


def _importable(name: str) -> bool:
    try:
        __import__(name)
    except ImportError:
        return False
    return True
