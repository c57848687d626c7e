"""Make the environment that ``make demo`` and ``make test`` run in, from a bare Python 3.10+.

    python3 tools/env.py [FOLDER]        (default .venv)

Nothing but the standard library is used, and of the machine only Python, an index that pip can reach, and,
where Python comes without pip as on a fresh Debian or Ubuntu, apt (not as root: nothing is installed outside
FOLDER). Calling it again does nothing unless requirements/, pyproject.toml, setup.py or the Python beneath have
changed; an installation that was interrupted is begun anew.
"""

from __future__ import annotations  # so that an older Python reads on to the sentence that refuses it

import argparse
import ast
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 10)
# The options of pip that uv knows under another name; uv itself reads no configuration of pip's.
UV_VARIABLES = {
    'index-url': 'UV_DEFAULT_INDEX',
    'extra-index-url': 'UV_INDEX',
    'trusted-host': 'UV_INSECURE_HOST',
    'timeout': 'UV_HTTP_TIMEOUT',
    'cert': 'SSL_CERT_FILE',
    'proxy': 'ALL_PROXY',
}


class SetupError(RuntimeError):
    """The environment cannot be made; the message is one sentence to the person who asked for it."""


def say(text: str) -> None:
    print(f'env: {text}', flush=True)


def run(*command: object, **options) -> subprocess.CompletedProcess:
    """Run a command from the repository's root and raise CalledProcessError where it fails."""
    return subprocess.run([str(part) for part in command], check=True, **{'cwd': ROOT, **options})


def runs(*command: object, **options) -> bool:
    """Whether a command exists and succeeds; what it says is not shown."""
    try:
        run(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def fingerprint(python: Path) -> list[str]:
    """What an environment is made from.

    Returns:
        list[str]: two lines, one for the Python beneath and the place ('' where ``python`` does not run), and
        one for the requirements.
    """
    about = 'import sys; print(sys.version_info[:2], sys.prefix, end="")'
    try:
        interpreter = run(python, '-c', about, stdout=subprocess.PIPE, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        interpreter = ''
    digest = hashlib.sha256()
    for file in [*sorted(ROOT.glob('requirements/*.txt')), ROOT / 'pyproject.toml', ROOT / 'setup.py']:
        digest.update(file.read_bytes())
    return [f'{interpreter} for {ROOT}' if interpreter else '', digest.hexdigest()]


def uv_environment(pip_config: str) -> dict[str, str]:
    """The variables that tell uv what ``pip config list`` says of index, certificates and proxy.

    Args:
        pip_config: lines such as ``global.index-url='https://...'`` or ``:env:.cert='/etc/...'``. What the
            variables of the environment say goes before the section ``install``, and that before ``global``.

    Returns:
        dict[str, str]: environment variables for uv.
    """
    sections = {'global': {}, 'install': {}, ':env:': {}}
    for line in pip_config.splitlines():
        name, found, value = line.partition('=')
        section, _, option = name.rpartition('.')
        if found and section in sections:
            sections[section][option.removeprefix('default-')] = str(ast.literal_eval(value))
    options = {option: value for section in sections.values() for option, value in section.items()}
    variables = {UV_VARIABLES[option]: value for option, value in options.items() if option in UV_VARIABLES}
    if 'UV_INDEX' in variables:
        indexes = [url for url in variables['UV_INDEX'].split() if _reachable(url)]
        # like pip: the best version of all indexes, whichever holds it
        variables.update(UV_INDEX=' '.join(indexes), UV_INDEX_STRATEGY='unsafe-best-match')
    return variables


def _reachable(url: str) -> bool:
    """False for a local folder that is not there: pip passes over it, uv stops."""
    return not url.startswith('file://') or Path(url.removeprefix('file://')).is_dir()


def give_pip(python: Path) -> None:
    """Put pip into a virtual environment that has none.

    Debian and Ubuntu cut ``ensurepip`` out of Python; there the distribution's own wheel of pip is fetched
    with apt, in folders of our own and so without root, and pip installs itself from the index with it.

    Raises:
        SetupError: there is no wheel of pip to be had.
        CalledProcessError: the wheel is there, but not the index.
    """
    if runs(python, '-m', 'ensurepip', '--upgrade', '--default-pip'):
        return
    say('this Python has no pip: fetching one with apt-get')
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch_pip_wheel(Path(folder))
        if wheel is not None:
            run(python, wheel / 'pip', 'install', '--quiet', 'pip', env=with_certificates(Path(folder)))
            return
    raise SetupError(
        f'{sys.executable} has no pip and none could be fetched: install it as root with '
        '`apt-get install python3-venv` (Debian, Ubuntu), then call make again.'
    )


def fetch_pip_wheel(folder: Path) -> Path | None:
    """Download and unpack Debian's wheel of pip and the public certificates below ``folder``.

    Returns:
        Path | None: the wheel, or None where apt is missing or does not find it.
    """
    packages = ('python3-pip-whl', 'ca-certificates')
    lists = ('-o', f'Dir::State::Lists={folder}/lists', '-o', f'Dir::Cache={folder}/cache')
    (folder / 'lists' / 'partial').mkdir(parents=True)
    (folder / 'cache' / 'archives' / 'partial').mkdir(parents=True)

    download = ('download', *packages)
    if not runs('apt-get', *download, cwd=folder):
        # the machine's own package lists are absent or older than the archive
        if not (runs('apt-get', *lists, 'update') and runs('apt-get', *lists, *download, cwd=folder)):
            return None
    for package in folder.glob('*.deb'):
        run('dpkg', '-x', package, folder / 'unpacked')
    return next(folder.glob('unpacked/usr/share/python-wheels/pip-*.whl'), None)


def with_certificates(folder: Path) -> dict[str, str]:
    """The environment, with the unpacked certificates for pip where the machine has none of its own."""
    if 'PIP_CERT' in os.environ or Path('/etc/ssl/certs/ca-certificates.crt').exists():
        return dict(os.environ)
    bundle = folder / 'certificates.pem'
    certificates = sorted(folder.glob('unpacked/usr/share/ca-certificates/mozilla/*.crt'))
    bundle.write_text('\n'.join(file.read_text() for file in certificates))
    return {**os.environ, 'PIP_CERT': str(bundle)}


def install(python: Path) -> None:
    """Install soho, editable, with what it and its tests need; opencv without a display.

    Raises:
        CalledProcessError: neither uv nor pip could install it.
    """
    wanted = ('-e', '.[tests]')
    headless = ('-r', 'requirements/headless.txt')
    if runs(python, '-m', 'pip', 'install', '--upgrade', 'pip', 'uv'):
        config = run(python, '-m', 'pip', 'config', 'list', stdout=subprocess.PIPE, text=True).stdout
        try:
            run(
                python,
                '-m',
                'uv',
                'pip',
                'install',
                '--python',
                python,
                '--compile-bytecode',  # as pip does: torch alone takes seconds of each command that has to do it
                *wanted,
                *headless,
                '--override',
                'requirements/overrides.txt',
                env={**uv_environment(config), **os.environ},
            )
            return
        except subprocess.CalledProcessError:
            say('uv did not succeed, going on with pip')
    else:
        say('uv cannot be had, going on with pip')
    # pip has no overrides: opencv-python comes first and then gives way
    run(python, '-m', 'pip', 'install', *wanted)
    run(python, '-m', 'pip', 'uninstall', '--yes', 'opencv-python')
    run(python, '-m', 'pip', 'install', '--force-reinstall', '--no-deps', *headless)


def make_environment(folder: Path) -> None:
    """Bring the environment in ``folder`` up to date; nothing happens where it is.

    Raises:
        SetupError: the Python is too old, pip cannot be had, or ``folder`` is not ours to change.
        CalledProcessError: the installation failed.
    """
    python, stamp, unfinished = folder / 'bin' / 'python', folder / 'soho-env', folder / 'soho-env-unfinished'
    made_from = stamp.read_text().splitlines() if stamp.exists() else None
    now = fingerprint(python)
    if made_from == now and not unfinished.exists():
        return
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f'{sys.executable} is Python {sys.version.split()[0]}, soho needs 3.10 or newer: '
            'name one with `make PYTHON=python3.12 ...`.'
        )
    if folder.exists() and made_from is None and not unfinished.exists():
        raise SetupError(
            f'{folder} was not made by `make env` and is left alone: move it away, or name '
            'another folder with `make VENV=.venv-soho ...`.'
        )
    update = made_from is not None and made_from[0] == now[0] and not unfinished.exists()
    say(f'{"updating" if update else "installing into"} {folder} (several GB where CUDA comes along)')
    if not update:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    unfinished.touch()
    if not update:
        # the Python beneath, in case make was called with this very environment activated
        run(getattr(sys, '_base_executable', sys.executable), '-m', 'venv', '--without-pip', folder)
        give_pip(python)
    try:
        install(python)
    except subprocess.CalledProcessError:
        if update:  # a resolution that fails, say without a network, leaves what was there
            unfinished.unlink()
        raise
    stamp.write_text('\n'.join(fingerprint(python)))
    unfinished.unlink()
    say(f'ready: {python}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', nargs='?', default='.venv', help='where (default: .venv of the repository)')
    try:
        make_environment(ROOT / parser.parse_args().folder)
    except SetupError as error:
        sys.exit(f'env: {error}')
    except subprocess.CalledProcessError as error:
        sys.exit(f'env: `{shlex.join(error.cmd)}` failed, as said above; the next call begins it anew.')
