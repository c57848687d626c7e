"""The command ``soho doctor``: versions, devices, and what is missing."""

import argparse
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata

from soho.version import __version__

# What each extra is for; pyproject.toml says what is in it.
EXTRAS = {
    'eval': 'METEOR and SPICE of captions, and the SVMs of VOC07',
    'timm': "timm's models as backbones",
    'export': 'models as files of ONNX',
    'app': 'the web page of `soho app`',
}
OK, MISSING, NOTE = 'ok', 'MISSING', '-'
Finding = tuple[str, str, str]


def doctor(argv: Sequence[str]) -> None:
    """Say which versions and devices are here, and what is missing."""
    argparse.ArgumentParser(prog='soho doctor', description=doctor.__doc__).parse_args(argv)
    found = [*check_versions(), *check_packages(), *check_devices(), *check_files()]
    width = max(len(what) for _, what, _ in found)
    for state, what, text in found:
        print(f'{state:8}{what:{width}}  {text}'.rstrip())
    lacking = [what for state, what, _ in found if state == MISSING]
    if lacking:
        print(f'\nNot all of soho works: {", ".join(lacking)} need to be put right.')
        raise SystemExit(1)
    print('\nAll that soho needs is here.')


def check_versions() -> Iterator[Finding]:
    """Python, system and soho."""
    yield OK, 'soho', __version__
    yield OK, 'python', f'{platform.python_version()} ({sys.executable})'
    yield OK, 'system', platform.platform()


def check_packages() -> Iterator[Finding]:
    """What soho requires, by what its installation says, and whether it can be imported."""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in metadata.requires('soho') or ()]
    except metadata.PackageNotFoundError:
        yield MISSING, 'installation', 'soho runs from a folder and is not installed: pip install -e . in it'
        return
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate({'extra': ''}):
            version = _version(requirement.name)
            if version is None and requirement.name == 'opencv-python':
                version = _version('opencv-python-headless')
            if version is None:
                yield MISSING, requirement.name, f'is not installed: pip install "{requirement}"'
            elif not requirement.specifier.contains(version, prereleases=True):
                yield MISSING, requirement.name, f'{version} is installed, and {requirement.specifier} is needed'
            else:
                yield OK, requirement.name, version
    for extra, purpose in EXTRAS.items():
        wanted = [r for r in requirements if r.marker and r.marker.evaluate({'extra': extra})]
        if not wanted:
            yield NOTE, f'soho[{extra}]', f'is not known to this installation of soho: install it again ({purpose})'
            continue
        lacking = sorted({r.name for r in wanted if not _version(r.name)} - {'opencv-python'})
        text = f'lacks {", ".join(lacking)}: pip install {" ".join(lacking)}' if lacking else 'is here'
        yield NOTE if lacking else OK, f'soho[{extra}]', f'{text} ({purpose})'
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        yield MISSING, 'cv2', f'{error}: without libGL, opencv-python-headless takes the place of opencv-python'


def check_devices() -> Iterator[Finding]:
    """Processor and GPUs."""
    from soho.platform import available_cores, has_bfloat16_units

    yield OK, 'cpu', f'{available_cores()} cores for this process'
    try:
        import torch
    except ImportError as error:
        yield MISSING, 'torch', f'cannot be imported: {error}'
        return
    count = torch.cuda.device_count()
    for number in range(count):
        properties = torch.cuda.get_device_properties(number)
        yield OK, f'cuda:{number}', f'{properties.name}, {properties.total_memory >> 30} GiB'
    if not has_bfloat16_units():
        yield NOTE, 'bfloat16', 'this processor has no instructions for it; on the CPU, mixed precision is float32'
    if not count:
        built = f'torch is built for CUDA {torch.version.cuda}' if torch.version.cuda else 'torch is built without CUDA'
        yield NOTE, 'gpu', f'none is seen, everything runs on the CPU ({built})'


def check_files() -> Iterator[Finding]:
    """Configs, shipped models, and where BERT comes from."""
    from soho.apis.model_zoo import read_zoo
    from soho.apis.sources import verify_file
    from soho.errors import UserError
    from soho.paths import CONFIGS, list_configs

    yield (
        (OK, 'configs', f'{len(list_configs())} in {CONFIGS}')
        if list_configs()
        else (MISSING, 'configs', f'none in {CONFIGS}')
    )
    for entry in read_zoo().values():
        if entry.shipped:
            try:
                verify_file(entry.path, entry.sha256)
                yield OK, entry.name, entry.path
            except (OSError, UserError) as error:
                yield MISSING, entry.name, str(error)
    bert = os.environ.get('SOHO_BERT')
    if bert:
        here = os.path.isfile(os.path.join(bert, 'vocab.txt'))
        yield (OK, 'SOHO_BERT', bert) if here else (MISSING, 'SOHO_BERT', f'{bert} has no vocab.txt')
    else:
        offline = os.environ.get('HF_HUB_OFFLINE') in ('1', 'true', 'yes')
        text = 'is not set, and the Hub is switched off (HF_HUB_OFFLINE)' if offline else 'is not set: the Hub is asked'
        yield NOTE, 'SOHO_BERT', f'{text}; the published recipes of SOHO need bert-base-uncased'


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
