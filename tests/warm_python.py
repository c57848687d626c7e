"""A Python that has imported what takes long, and forks a process for each command that a test types.

    python -m tests.warm_python SOCKET

``shims`` writes the commands ``python`` and ``soho`` which hand their command line, folder, environment and streams to
it: in a shell they behave as the real ones, without the seconds that torch and transformers take to import.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A process that forks must have no other threads, and CUDA does not work in its children once it has looked for a GPU.
FORKING = dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
# What most commands import.
SLOW = ('soho.apis.loading', 'soho.engine.runner', 'soho.models.soho', 'soho.models.virtex')
# A Python without site-packages starts in some milliseconds; it prints nothing of its own.
SHIM = """#!{python} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({address!r})
    socket.send_fds(asked, [b'.'], [0, 1, 2])
    asked.sendall(json.dumps([{argv!r} + sys.argv[1:], os.getcwd(), dict(os.environ)]).encode() + b'\\n')
    code = asked.makefile().readline()
sys.exit(int(code or 70))
"""


def shims(folder: Path, address: str) -> None:
    """Write ``python`` and ``soho`` into ``folder``."""
    for name, argv in dict(python=[], soho=['-m', 'soho']).items():
        (folder / name).write_text(SHIM.format(python=sys.executable, address=address, argv=argv))
        (folder / name).chmod(0o755)


@contextlib.contextmanager
def warm_python() -> Iterator[Path]:
    """The folder of ``python`` and ``soho``, which work until the context ends."""
    environment = dict(os.environ, HF_HUB_OFFLINE='1', PYTHONPATH=str(ROOT), **FORKING)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))  # an address has at most 107 letters
        address = str(folder / 'socket')
        shims(folder, address)
        command = [sys.executable, '-m', 'tests.warm_python', address]
        server = stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment))
        try:
            while not os.path.exists(address) and server.poll() is None:
                time.sleep(0.05)
            assert server.poll() is None, 'the server of python and soho has ended'
            yield folder
        finally:
            server.kill()


def serve(address: str) -> None:
    """Answer commands until the process is killed."""
    for module in SLOW:
        importlib.import_module(module)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address + '.new')
        listening.listen()
        os.rename(address + '.new', address)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
        while True:
            asked, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                answer(asked)
            asked.close()


def answer(asked: socket.socket) -> None:
    """Run one command in this process, tell its exit code, and end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(asked, 1, 3)
    argv, folder, environment = json.loads(asked.makefile().readline())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    # Those of the server are of files, which can be sought in.
    sys.stdout, sys.stderr = open(1, 'w', closefd=False), open(2, 'w', closefd=False, buffering=1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment, **FORKING)
    code: object = 0
    try:
        run(argv)
    except SystemExit as stopped:
        code = stopped.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    asked.sendall(f'{code if isinstance(code, int) else int(code is not None)}\n'.encode())
    os._exit(0)


def run(argv: list[str]) -> None:
    """``python FILE ...``, ``python -m MODULE ...`` or ``python -c CODE ...``."""
    if argv[0] == '-c':
        sys.argv, sys.path[0] = ['-c', *argv[2:]], ''
        exec(argv[1], dict(__name__='__main__'))
    elif argv[0] == '-m':
        sys.argv, sys.path[0] = argv[1:], os.getcwd()
        runpy.run_module(argv[1], run_name='__main__', alter_sys=True)
    else:
        sys.argv, sys.path[0] = argv, os.path.dirname(os.path.abspath(argv[0]))
        runpy.run_path(argv[0], run_name='__main__')


if __name__ == '__main__':
    serve(sys.argv[1])
