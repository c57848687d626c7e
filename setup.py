"""Packaging: the version comes from soho/version.py, what is needed from requirements/."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent


def read_version() -> str:
    """The version, read and not imported: importing soho may need what is not yet installed."""
    text = (ROOT / 'soho' / 'version.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '([^']+)'", text, flags=re.MULTILINE).group(1)


def read_requirements(name: str) -> list[str]:
    """The requirements of ``requirements/<name>.txt``, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    requirements = [re.sub(r'(^|\s)#.*', '', line).strip() for line in lines]
    return [requirement for requirement in requirements if requirement]


def read_readme() -> str:
    """README.md, or nothing where a partial copy of the sources has none."""
    readme = ROOT / 'README.md'
    return readme.read_text(encoding='utf-8') if readme.exists() else ''


setup(
    name='soho',
    version=read_version(),
    description='A toolbox for learning from images and the sentences that go with them, end to end',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='vision-language, pretraining, visual question answering, image captioning',
    classifiers=[
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['soho', 'soho.*']),
    include_package_data=True,
    python_requires='>=3.10',
    install_requires=read_requirements('runtime'),
    extras_require={'optional': read_requirements('optional'), 'tests': read_requirements('tests')},
)
