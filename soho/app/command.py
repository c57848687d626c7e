"""The command ``soho app``: a web page on which people ask a model."""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from tempfile import TemporaryDirectory

from soho.apis.commands import DEFAULT_VQA, add_checkpoint_options, add_device_options, load_model
from soho.errors import UserError

PORT = 7860


def app(argv: Sequence[str]) -> None:
    """Open a web page on which people ask a model about their pictures."""
    parser = argparse.ArgumentParser(prog='soho app', description=app.__doc__)
    parser.add_argument(
        'model',
        nargs='?',
        default=DEFAULT_VQA,
        metavar='CHECKPOINT',
        help=f'file, work dir, http(s)://, Hub id, or a name that `soho models` lists (default {DEFAULT_VQA})',
    )
    parser.add_argument(
        '--host', default='127.0.0.1', help='interface to serve from; 0.0.0.0 for all (default: this machine alone)'
    )
    parser.add_argument('--port', type=int, default=PORT, help=f'0 for any that is free (default {PORT})')
    add_checkpoint_options(parser)
    add_device_options(parser)
    parser.set_defaults(batch_size=None)
    args = parser.parse_args(argv)
    if find_spec('gradio') is None:
        raise UserError('the page needs gradio, which is not installed: pip install "gradio>=6.31,<7"')

    from soho.apis.sources import locate_checkpoint

    locate_checkpoint(args.model)  # a name that is none is refused before gradio and torch are imported
    with TemporaryDirectory(prefix='soho-app-') as uploads:
        # gradio reads these, some of them when it is imported
        os.environ.update(GRADIO_ANALYTICS_ENABLED='False', GRADIO_TEMP_DIR=uploads)

        from soho.app.page import build_page
        from soho.app.server import serve
        from soho.app.tasks import find_task

        # so that the pictures are deleted, whichever way the server is ended
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        with open_socket(args.host, args.port) as listener:
            serve(build_page(find_task(load_model(args, 'load'))), listener)


def open_socket(host: str, port: int) -> socket.socket:
    """The socket that the page is served from.

    Args:
        host: Name or address of a network interface.
        port: 0 for any that is free.

    Raises:
        UserError: It is taken, or there is no such interface or port.
    """
    if not 0 <= port < 1 << 16:
        raise UserError(f'a port is a number from 0 to 65535, and {port} is not')
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        raise UserError(
            f'the page cannot be served from port {port} of {host} ({error}): give another, as in --port 7861'
        ) from error
