"""Where the configs, the scripts of tools/ and the shipped models are: in the repository, or in an installed wheel.

A wheel has copies of them in ``soho/.mim``, OpenMMLab's place for them, where setup.py puts them. A checkout and an
editable install use the repository's own folders.
"""

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_ROOT = _PACKAGE / '.mim' if (_PACKAGE / '.mim').is_dir() else _PACKAGE.parent

CONFIGS = _ROOT / 'configs'
TOOLS = _ROOT / 'tools'
RESOURCES = _ROOT / 'resources'


def list_configs() -> list[str]:
    """The names of the recipes, such as ``VQA/soho_easyvqa``; what they are made of (``_base_``) is left out."""
    names = sorted(config_name(file.relative_to(CONFIGS)) for file in CONFIGS.rglob('*.py'))
    return [name for name in names if not name.startswith('_base_/')]


def find_config(path: str | os.PathLike) -> str | None:
    """The file of a config.

    Args:
        path: A file, which is taken as it is, or else the name of a config that ships with soho:
            ``configs/VQA/soho_easyvqa.py``, ``VQA/soho_easyvqa.py`` and ``VQA/soho_easyvqa`` are the same.

    Returns:
        The path as it is or the shipped file's; None where there is neither.
    """
    if os.path.isfile(path):
        return os.fspath(path)
    shipped = CONFIGS / f'{config_name(path)}.py'
    return os.fspath(shipped) if not os.path.isabs(path) and shipped.is_file() else None


def config_name(path: str | os.PathLike) -> str:
    """``VQA/soho_easyvqa`` of ``configs/VQA/soho_easyvqa.py``."""
    return os.path.normpath(path).replace(os.sep, '/').removeprefix('configs/').removesuffix('.py')
