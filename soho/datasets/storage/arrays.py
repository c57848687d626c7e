"""Arrays of a ``.npz`` file, read no further than the file reaches."""

import zipfile
from collections.abc import Sequence

import numpy as np

from soho.errors import UserError, clip
from soho.files import PathLike, open_regular


def read_arrays(path: PathLike, names: Sequence[str], kind: str) -> list[np.ndarray]:
    """Return the named arrays of a ``.npz`` file, of any shape and type but objects.

    Args:
        path: Path of the file, with arrays as ``numpy.savez`` writes them, uncompressed: few bytes of a compressed one
            may stand for any number.
        names: Names of the arrays.
        kind: What the file should be, for the errors.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is no regular file, damaged, compressed or of another kind, or lacks an array.
    """
    found = []
    try:
        with open_regular(path) as opened, zipfile.ZipFile(opened) as archive:
            for name in names:
                member = archive.NameToInfo.get(f'{name}.npy')
                if member is None:
                    raise UserError(f'{path} has no {name}; it must be {kind}')
                if member.compress_type != zipfile.ZIP_STORED:
                    raise UserError(f'{path} is compressed; it must be {kind}')
                with archive.open(member) as file:
                    found.append(np.lib.format.read_array(file, allow_pickle=False))
    except (UserError, FileNotFoundError):
        raise
    except Exception as error:  # of damaged bytes zipfile and numpy let pass what their parts raise
        why = clip(f'{error}'.partition('\n')[0]) or type(error).__name__
        raise UserError(f'{path} is no npz file ({why}); it must be {kind}') from error
    return found
