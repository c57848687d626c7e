"""Memory that the decoding of a picture takes, by format: ``python -m tests.datasets.decoding_memory EDGE``."""

import io
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from soho.datasets.storage.decoding import decode_image
from soho.datasets.storage.image_header import read_header


def encode(picture, form, **options):
    """Bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def make_files(edge):
    """Yield name and bytes of pictures of so many pixels each way, of which a decoder keeps most."""
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).resize(
        (edge, edge), Image.Resampling.NEAREST
    )
    palette, clear = colours.convert('P'), colours.convert('RGBA')
    turned = Image.Exif()
    turned[0x0112] = 6
    yield 'jpeg', encode(colours, 'JPEG')
    yield 'jpeg, turned', encode(colours, 'JPEG', exif=turned)
    yield 'jpeg, progressive', encode(colours, 'JPEG', progressive=True, subsampling=0)
    yield 'jpeg, progressive CMYK', encode(colours.convert('CMYK'), 'JPEG', progressive=True, subsampling=0)
    yield 'png', encode(colours, 'PNG', compress_level=1)
    yield 'png, turned', encode(colours, 'PNG', compress_level=1, exif=turned)
    yield 'png, transparent', encode(clear, 'PNG', compress_level=1)
    yield 'png, grey and transparent', encode(colours.convert('LA'), 'PNG', compress_level=1)
    yield 'png, 16 bits', encode(Image.new('I;16', (edge, edge)), 'PNG', compress_level=1)
    yield 'png, palette', encode(palette, 'PNG', compress_level=1, transparency=0)
    yield 'gif', encode(palette, 'GIF', transparency=0)
    yield 'bmp', encode(colours, 'BMP')
    yield 'ppm', encode(colours, 'PPM')
    yield 'tiff', encode(colours, 'TIFF', compression='tiff_lzw')
    yield 'tiff, one strip', encode(clear, 'TIFF', compression='tiff_lzw', strip_size=4 * edge * edge)
    yield 'tiff, jpeg', encode(colours, 'TIFF', compression='jpeg')
    yield 'webp', encode(colours, 'WEBP', method=0)
    yield 'webp, lossless', encode(Image.new('RGB', (edge, edge)), 'WEBP', lossless=True, quality=0, method=0)
    yield 'webp, transparent', encode(clear, 'WEBP', method=0, exif=turned)
    yield 'avif', encode(clear, 'AVIF', speed=10, quality=90, subsampling='4:4:4')
    yield 'jpeg 2000', encode(clear, 'JPEG2000')


def peak():
    """Most bytes that this process has had at a time."""
    return 1024 * int(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])


def measure(data):
    """Bytes of memory a pixel, beyond those before; in a process of its own."""
    reader, writer = os.pipe()
    if not os.fork():
        with open('/proc/self/clear_refs', 'w') as file:
            file.write('5')  # the highest so far is what there is now
        before = peak()
        image = decode_image(data, background=(1, 2, 3))
        os.write(writer, str((peak() - before) / (image.size / 3)).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader) as file:
        return float(file.read())


def main(edge):
    """Print the kind of each picture and the bytes a pixel, as JSON."""
    for _, data in make_files(16):  # what is loaded once
        decode_image(data, background=(1, 2, 3))
    with tempfile.TemporaryDirectory() as folder:
        if not os.fork():  # so that what the encoders had is not there to be used again
            for name, data in make_files(edge):
                Path(folder, name).write_bytes(data)
            os._exit(0)
        os.wait()
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    print(json.dumps({name: (read_header(data, name).kind, measure(data)) for name, data in files.items()}))


if __name__ == '__main__':
    main(int(sys.argv[1]))
