"""Archives that a reader has trouble with."""

import tarfile

EXTENSIONS = {
    tarfile.GNUTYPE_LONGNAME: b'x.jpg\0',
    tarfile.XHDTYPE: b'14 path=x.jpg\n',
    tarfile.XGLTYPE: b'14 path=x.jpg\n',
}
"""What gives the next member its name, by the type of its header."""


def tar_of_headers(kind, count):
    """A tar of one member with so many headers of a kind of :data:`EXTENSIONS` before it."""
    extension, member = tarfile.TarInfo('x'), tarfile.TarInfo('x.jpg')
    extension.type, extension.size, member.size = kind, len(EXTENSIONS[kind]), 3
    block = extension.tobuf(tarfile.GNU_FORMAT) + EXTENSIONS[kind].ljust(512, b'\0')
    return count * block + member.tobuf(tarfile.GNU_FORMAT) + b'abc'.ljust(512, b'\0') + bytes(1024)
