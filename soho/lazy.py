"""Public names of a package whose modules are imported when a name is first used.

A package that imports its modules makes everybody pay for all of them: ``soho.engine`` would bring
transformers and torchvision along for whoever only reads a config. (PEP 562; ours because ``lazy_loader`` would be a
dependency for these lines.)
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any


def lazy_names(
    package: str, modules: dict[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` for a package's ``__init__.py``.

    Args:
        package: ``__name__`` of the package.
        modules: Modules, relative to the package, to the names that each gives. None may be called as a module of the
            package is: the import of that module would put it in the name's place.
    """
    places = {name: f'{package}.{module}' for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:
        if name not in places:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        value = getattr(import_module(places[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places})

    return __getattr__, __dir__, sorted(places)
