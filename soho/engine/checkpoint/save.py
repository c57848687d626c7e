"""mmengine's own writing of checkpoints, made atomic."""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend
from mmengine.fileio.io import backend_instances

from soho.files import atomic_write


class AtomicLocalBackend(LocalBackend):
    """Files on disks that are complete or not there, see :func:`soho.files.atomic_write`."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write ``obj`` to ``filepath``, which keeps its old contents until all is written."""
        with atomic_write(filepath) as file:
            file.write(obj)


def use_atomic_writing() -> None:
    """Make mmengine write checkpoints through :class:`AtomicLocalBackend`; a run calls this when it begins."""
    register_backend('local', AtomicLocalBackend, prefixes='', force=True)
    # mmengine keeps the backends that it has made.
    for key in [key for key, backend in backend_instances.items() if type(backend) is LocalBackend]:
        del backend_instances[key]
