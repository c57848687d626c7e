"""Images of a data set in a folder, in a zip as in the official SOHO data sets, or in tar shards."""

import errno
import os
import stat
import tarfile
import zipfile
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import numpy as np

from soho.datasets.storage.names import check_name, is_folder, is_litter
from soho.datasets.storage.packed_strings import PackedStrings
from soho.datasets.storage.tar_shards import TarShards, is_sharded
from soho.datasets.storage.zip_reader import MAX_BYTES, ZipReader, describe_excess
from soho.errors import UserError, clip
from soho.files import open_without_waiting

SCANNERS = 16  # folders listed in parallel, since a network file system is slow to answer
_MISSING = {errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO}


class ImageError(UserError):
    """Error for one image of a data set; the message is one sentence that names it."""

    image_number: int = 0
    """Which image of its sample it is."""


class ImageMissingError(ImageError):
    """Error for a name that the store does not have."""


class ImageDecodeError(ImageError):
    """Error for an image whose bytes are damaged or no picture."""


class Folders(NamedTuple):
    """Files in the folders of a store."""

    files: dict[str, list[str]]
    """Sorted file names of each folder, sorted by folder; ``''`` is the top of the store."""
    nested: list[str]
    """Folders within these, which are left out."""


class ImageStore:
    """The images of one data set, read by name.

    ``root`` is named as in the official configs, with or without the last
    slash: ``data/coco/train2014/`` is the folder of that name if it exists,
    otherwise the archive ``data/coco/train2014.zip``, whose members are called
    ``train2014/NAME`` (COCO) or ``NAME`` (Visual Genome's ``images.zip``). The
    path of the zip itself is accepted as well. In a folder that holds ``*.tar`` files
    (WebDataset's shards) and neither images nor folders, the images are members of these.

    What an operating system left there (:func:`soho.datasets.storage.names.is_litter`) is not listed. A link is
    followed, since it is the choice of whose folder it is, but only to a regular file; a name never leads out of the
    folder.

    A store may be pickled and may be used by any number of threads, forked and
    spawned processes at once.

    Args:
        root: Folder, zip, or the zip's path without ``.zip``.
        max_bytes: Size of the largest file that is read, uncompressed.

    Raises:
        FileNotFoundError: Neither the folder nor the zip exists.
        UserError: The zip, or a shard, is damaged.
    """

    def __init__(self, root: str | os.PathLike, max_bytes: int = MAX_BYTES) -> None:
        given = os.fspath(root)
        root = given.rstrip('/') or given[:1]
        self.max_bytes = max_bytes
        self._prefix = ''
        self._archive: ZipReader | TarShards | None = None
        if os.path.isdir(root):
            self.path = root
            if is_sharded(root):
                try:
                    self._archive = TarShards(root, max_bytes)
                except tarfile.TarError as error:
                    raise UserError(f'{root} cannot be read: {error}') from error
            return
        self.path = root if root.endswith('.zip') else f'{root}.zip'
        self._prefix = os.path.basename(self.path)[: -len('.zip')] + '/'
        if not os.path.isfile(self.path):
            raise FileNotFoundError(
                f'images were looked for in the folder {self.path[: -len(".zip")]} and in '
                f'the archive {self.path}, and neither exists'
            )
        try:
            self._archive = ZipReader(self.path, max_bytes)
        except zipfile.BadZipFile as error:
            raise UserError(
                f'{self.path} is not a complete zip archive ({error}): it has to be downloaded or packed again'
            ) from error

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.path!r})'

    @property
    def names(self) -> list[str]:
        """Sorted names of all files, without the annotations in shards."""
        if self._archive is None:
            return sorted(_walk(self.path))
        names = (name for name in self._archive if not name.endswith('.json' if self.sharded else '/'))
        return sorted(name.removeprefix(self._prefix) for name in names if not is_litter(name))

    @property
    def sharded(self) -> bool:
        """Whether the images are in tar shards."""
        return isinstance(self._archive, TarShards)

    def shards_of(self, names: PackedStrings) -> np.ndarray:
        """Return the number of the tar shard of each image, (N,) int64; 0 if it is missing or not in a shard."""
        if isinstance(self._archive, TarShards):
            return self._archive.shards_of(names)
        return np.zeros(len(names), np.int64)

    def read(self, name: str) -> bytes:
        """Return the bytes of the image file ``name``.

        Raises:
            ImageMissingError: There is no such file; the message gives similar names.
            ImageDecodeError: The zip's member is damaged.
        """
        return self._read_file(name) if self._archive is None else self._read_member(self._archive, name)

    def folders(self) -> Folders:
        """Return the files in the folders of the store, one level deep."""
        nested: list[str] = []
        if self._archive is not None:
            found = defaultdict(list)
            for member in self._archive:
                path = member.removeprefix(self._prefix)
                folder, _, name = path.rpartition('/')  # a folder's own entry ends in a slash
                if is_litter(path) or not path:
                    continue
                if '/' in folder:
                    nested.append(folder)
                    folder, name = folder.split('/')[0], ''
                found[folder] += [name] if name else []
            return Folders({folder: sorted(found[folder]) for folder in sorted(found)}, sorted(set(nested)))
        loose, folders = _scan(self.path)
        with ThreadPoolExecutor(SCANNERS) as pool:
            inner = pool.map(_scan, (os.path.join(self.path, folder) for folder in folders))
            found = {}
            for folder, (files, deeper) in zip(folders, inner):
                found[folder] = files
                nested += [f'{folder}/{name}' for name in deeper]
        return Folders({'': loose, **found} if loose else found, nested)

    def _read_file(self, name: str) -> bytes:
        try:
            check_name(name)
        except UserError as error:
            raise ImageMissingError(f'{self.path}: {error}') from error
        try:
            # Not blocking, or a pipe would be waited for.
            with open(os.path.join(self.path, name), 'rb', opener=open_without_waiting) as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ImageMissingError(f'the image {clip(name)} of {self.path} is not a regular file')
                if status.st_size > self.max_bytes:
                    raise ImageDecodeError(
                        f'the image {clip(name)} of {self.path} cannot be read: '
                        f'{describe_excess(status.st_size, self.max_bytes)}'
                    )
                return file.read()
        except OSError as error:
            if error.errno not in _MISSING:
                raise
            raise ImageMissingError(
                f'the folder {self.path} has no image {clip(name)}; near it are {_nearest(self._listing, name)}'
            ) from error

    @cached_property
    def _listing(self) -> list[str]:
        # Kept, because a data set with one missing image often has thousands.
        return sorted(os.listdir(self.path))

    def _read_member(self, archive: ZipReader | TarShards, name: str) -> bytes:
        for member in (self._prefix + name, name):
            try:
                return archive.read(member)
            except KeyError:
                continue
            except (zipfile.BadZipFile, tarfile.TarError) as error:
                raise ImageDecodeError(f'the member {clip(member)} of {self.path} cannot be read: {error}') from error
        raise self._missing(archive, name)

    def _missing(self, archive: ZipReader | TarShards, name: str) -> ImageMissingError:
        member = self._prefix + name
        looked_for = f'neither a member {clip(member)} nor {clip(name)}' if self._prefix else f'no member {clip(name)}'
        return ImageMissingError(f'{self.path} has {looked_for}; near it are {_nearest(archive, member)}')


def _scan(path: str) -> tuple[list[str], list[str]]:
    """Return the sorted names of the files and of the folders in a folder, links to them included, without litter."""
    files, folders = [], []
    with os.scandir(path) as entries:
        for entry in entries:
            if not is_litter(entry.name):
                (folders if is_folder(entry) else files).append(entry.name)
    return sorted(files), sorted(folders)


def _walk(root: str) -> Iterator[str]:
    """Yield the names of all files below a folder, in linked folders as well, without litter.

    A link to a folder that it lies in is not followed.
    """
    pending: list[tuple[str, tuple[str, ...]]] = [('', (os.path.realpath(root),))]
    while pending:
        folder, above = pending.pop()
        files, folders = _scan(os.path.join(root, folder))
        yield from (f'{folder}{name}' for name in files if os.path.isfile(os.path.join(root, folder, name)))
        for name in folders:
            real = os.path.realpath(os.path.join(root, folder, name))
            if real not in above:
                pending.append((f'{folder}{name}/', (*above, real)))


def _nearest(names: Sequence[str], name: str, count: int = 3) -> str:
    """Return ``count`` names around the position of ``name`` in the sorted ``names``."""
    first = max(0, min(bisect_left(names, name) - 1, len(names) - count))
    near = [names[i] for i in range(first, min(first + count, len(names)))]
    return ', '.join(map(clip, near)) or 'no files at all'
