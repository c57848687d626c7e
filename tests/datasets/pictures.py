"""Pictures of few bytes that take a decoder long, or much memory."""

import struct


def _segment(marker, contents):
    return struct.pack('>BBH', 0xFF, marker, len(contents) + 2) + contents


def jpeg_of_scans(width, height, scans):
    """A grey progressive JPEG whose scans, but for the first, hold nothing: 11 bytes each."""
    tables = [bytes([kind]) + bytes([1] + 15 * [0]) + b'\0' for kind in (0x00, 0x10)]  # of one code each
    return b''.join(
        [
            b'\xff\xd8',
            _segment(0xDB, b'\0' + bytes([1] * 64)),
            _segment(0xC2, struct.pack('>BHHBBBB', 8, height, width, 1, 1, 0x11, 0)),
            *(_segment(0xC4, table) for table in tables),
            _segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + b'\0',
            (scans - 1) * (_segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + b'\0'),
            b'\xff\xd9',
        ]
    )


def tiff_of_tile(width, height, edge, data=b''):
    """A TIFF of RGB pixels in one compressed tile, of so many pixels each way."""
    entries = {
        256: width,
        257: height,
        258: 8,
        259: 8,  # deflate
        262: 2,
        277: 3,
        322: edge,
        323: edge,
        324: 8 + 2 + 12 * 10 + 4,
        325: len(data),
    }
    fields = [struct.pack('<HHII', tag, 4, 1, value) for tag, value in entries.items()]
    return struct.pack('<4sIH', b'II*\0', 8, len(fields)) + b''.join(fields) + bytes(4) + data
