"""The command ``soho``, which runs the scripts of tools/ from any folder.

    soho train CONFIG ...        runs tools/train.py CONFIG ...
    soho prepare vqa ...         runs tools/prepare/vqa.py ...
    soho analyze get_flops ...   runs tools/analysis/get_flops.py ...
    soho ask IMAGE "QUESTION"    is a function of soho/apis/commands.py, as are caption, features and models
    soho app CHECKPOINT          is a function of soho/app/command.py
    soho configs [PATTERN]       is a function of this file

``python -m soho`` is the same. A new command is a name in ``SCRIPTS`` or a function in ``FUNCTIONS``; the first line
of its docstring is its line in the help. Nothing here imports torch, so that the help comes at once.
"""

import argparse
import ast
import fnmatch
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from soho import __version__
from soho.apis.commands import COMMANDS
from soho.apis.doctor import doctor
from soho.app.command import app
from soho.errors import UserError, escape_what_cannot_be_printed, exit_on_user_error
from soho.paths import CONFIGS, TOOLS, list_configs

# Each a script of tools/ or a folder of scripts.
SCRIPTS = ('train', 'test', 'report', 'prepare', 'convert', 'transfer', 'analyze')
FOLDERS = {'analyze': 'analysis'}  # those that have another name than their command
REPOSITORY_ONLY = {'parity'}  # reads tests/parity, which is not installed
HELP = ([], ['-h'], ['--help'])


def configs(argv: Sequence[str]) -> None:
    """List the configs that ship with soho."""
    parser = argparse.ArgumentParser(prog='soho configs', description=configs.__doc__)
    parser.add_argument('pattern', nargs='?', default='', help="part of a name, or a pattern such as 'vqa/*'")
    pattern = parser.parse_args(argv).pattern
    names = [name for name in list_configs() if fnmatch.fnmatchcase(name.lower(), f'*{pattern.lower()}*')]
    if not names:
        raise UserError(f'no config that ships with soho is called like {pattern!r}; `soho configs` lists them all')
    print(format_rows({name: read_summary(CONFIGS / f'{name}.py') for name in names}))


FUNCTIONS = {'configs': configs, **COMMANDS, 'app': app, 'doctor': doctor}


def find_scripts() -> dict[str, Path]:
    """The scripts by what is typed after ``soho``, such as ``train`` and ``prepare vqa``."""
    scripts = {}
    for name in SCRIPTS:
        folder = TOOLS / FOLDERS.get(name, name)
        if folder.is_dir():
            files = (file for file in sorted(folder.glob('*.py')) if file.stem not in REPOSITORY_ONLY)
            scripts |= {f'{name} {file.stem}': file for file in files}
        else:
            scripts[name] = TOOLS / f'{name}.py'
    return scripts


def read_summary(file: Path) -> str:
    """The first line of a file's docstring; nothing is imported."""
    return (ast.get_docstring(ast.parse(file.read_text(encoding='utf-8'))) or '').partition('\n')[0]


def format_rows(rows: Mapping[str, str]) -> str:
    """Two columns, one line each."""
    width = max(map(len, rows))
    return '\n'.join(f'  {name:{width}}  {text}' for name, text in rows.items())


def format_help(scripts: Mapping[str, Path]) -> str:
    """What ``soho --help`` prints."""
    rows = {name: read_summary(file) for name, file in scripts.items()}
    rows |= {name: (function.__doc__ or '').partition('\n')[0] for name, function in FUNCTIONS.items()}
    return (
        f'usage: soho COMMAND ...        (soho COMMAND --help says more; soho --version)\n\n{format_rows(rows)}\n\n'
        f'A CONFIG is a file or a name that `soho configs` lists. The configs are in\n  {CONFIGS}\n'
        f'and the scripts, with those that run several processes (dist_train.sh and others), in\n  {TOOLS}'
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line names; a script sees the rest of it as its own command line."""
    escape_what_cannot_be_printed()
    argv = sys.argv[1:] if argv is None else list(argv)
    scripts = find_scripts()
    if argv in HELP:
        print(format_help(scripts))
    elif argv == ['--version']:
        print(f'soho {__version__}')
    elif argv[0] in FUNCTIONS:
        with exit_on_user_error():
            FUNCTIONS[argv[0]](argv[1:])
    elif argv[0] in scripts:
        run_script(scripts, argv[0], argv[1:])
    elif ' '.join(argv[:2]) in scripts:
        run_script(scripts, ' '.join(argv[:2]), argv[2:])
    else:
        below = {name: file for name, file in scripts.items() if name.startswith(f'{argv[0]} ')}
        if below and argv[1:] in HELP:
            print(format_rows({f'soho {name}': read_summary(file) for name, file in below.items()}))
        else:
            with exit_on_user_error():
                choices = [name.partition(' ')[2] for name in below] or [*SCRIPTS, *FUNCTIONS]
                typed = ' '.join(argv[: 2 if below else 1])
                raise UserError(f'there is no command `soho {typed}`: choose from {", ".join(choices)}')


def run_script(scripts: Mapping[str, Path], name: str, argv: Sequence[str]) -> None:
    """Run a script as ``python FILE ...`` does, with ``soho NAME`` as its own name (runpy would say FILE)."""
    sys.argv = [f'soho {name}', *argv]
    module = ModuleType('__main__')
    module.__file__ = str(scripts[name])
    sys.modules['__main__'] = module  # where a worker process looks for its functions
    SourceFileLoader('__main__', module.__file__).exec_module(module)


if __name__ == '__main__':
    main()
