"""What is typed in the documents, as tests type it.

A block of code may have a note above it, which neither GitHub nor the site shows:

    <!-- run by `tests/...py` -->     another test types it
    <!-- not run: why -->             nobody does; a reason is given

A block of bash without a note is typed as it stands (:func:`type_page`), and so are Python prompts.
"""

import doctest
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

BLOCK = re.compile(r'(?:^<!-- ([^>]*?) -->\n)?^```([^\n]*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A block of code between fences."""

    language: str
    text: str
    line: int
    """Where its text begins, from 1."""
    note: str
    """What is said above it in a comment; empty where nothing is."""


def read_blocks(document: str) -> Iterator[Block]:
    """The blocks of code of a document, in order."""
    for found in BLOCK.finditer(document):
        yield Block(found[2], found[3], document.count('\n', 0, found.start(3)) + 1, ' '.join((found[1] or '').split()))


def blocks(document: str, language: str) -> list[str]:
    """The texts of the blocks in a language."""
    return [block.text for block in read_blocks(document) if block.language == language]


def is_typed(block: Block) -> bool:
    """Whether :func:`type_page` types a block: bash, and Python with prompts, without a note."""
    return not block.note and (block.language == 'bash' or block.language == 'python' and block.text.startswith('>>>'))


def type_page(page: Path, folder: Path, commands: Path) -> None:
    """Type the blocks of a page in order: those of bash in a shell of their own each, those of Python in one session.

    Args:
        page: Markdown.
        folder: Where the shells run; for Python the current folder counts.
        commands: Folder of ``python`` and ``soho``, see :func:`tests.warm_python.warm_python`.
    """
    names: dict[str, Any] = {}
    for block in filter(is_typed, read_blocks(page.read_text())):
        if block.language == 'python':
            run_prompts(block.text, f'{page.name}, line {block.line}', names)
        else:
            said = type_shell(block.text, folder, commands)
            assert said.returncode == 0, f'{page.name}, line {block.line}: exit code {said.returncode}\n{said.stdout}'


def type_shell(text: str, folder: Path, commands: Path) -> subprocess.CompletedProcess[str]:
    """Run a block of bash in ``folder``, up to the first command that fails; what it prints is in ``stdout``."""
    environment = dict(os.environ, PATH=f'{commands}{os.pathsep}{os.environ["PATH"]}', OMP_NUM_THREADS='1')
    return subprocess.run(
        ['bash', '-euo', 'pipefail', '-c', text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )


def run_prompts(text: str, name: str, names: dict[str, Any], options: int = OPTIONS) -> None:
    """Type Python prompts.

    Args:
        text: With what they print.
        name: What messages call it.
        names: What is defined before; what the prompts define comes to it.
        options: How what is printed is compared.
    """
    test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=options).run(test, out=said.append, clear_globs=False)
    assert not said, ''.join(said)
    names.update(test.globs)
