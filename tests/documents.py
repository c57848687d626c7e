"""What is typed in the documents, as tests type it."""

import doctest
import re
from typing import Any


def blocks(document: str, language: str) -> list[str]:
    """The blocks of code of a document in a language."""
    return re.findall(rf'^```{language}\n(.*?)^```', document, re.MULTILINE | re.DOTALL)


def run_sessions(document: str, name: str, names: dict[str, Any] | None = None, options: int = doctest.ELLIPSIS) -> int:
    """Type every Python block with prompts, in order, in one session; returns how many prompts there are.

    Args:
        document: Its text.
        name: What messages call it.
        names: What is defined before.
        options: How what is printed is compared.
    """
    sessions = [block for block in blocks(document, 'python') if block.startswith('>>>')]
    test = doctest.DocTestParser().get_doctest('\n'.join(sessions), dict(names or {}), name, None, 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=options).run(test, out=said.append)
    assert not said, ''.join(said)
    return len(test.examples)
