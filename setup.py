"""The build step that pyproject.toml has no words for: a wheel carries configs/, the scripts of tools/ and models.

They go to ``soho/.mim``, where OpenMMLab's packages have them. An editable install has no such folder:
``soho/paths.py`` finds the repository's own.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# What serves this project and not its users.
LEFT_OUT = ('tools/env.py', 'tools/analysis/parity.py', 'tools/benchmark/')


def shipped_files() -> list[Path]:
    """The configs, scripts and models that a wheel carries, relative to the repository."""
    patterns = ('configs/**/*.py', 'configs/**/*.yml', 'tools/**/*.py', 'tools/*.sh', 'resources/models/**/*.*')
    files = [file for pattern in patterns for file in ROOT.glob(pattern)]
    names = sorted(file.relative_to(ROOT) for file in files)
    return [name for name in names if not name.as_posix().startswith(LEFT_OUT)]


class BuildWithConfigsAndTools(build_py):
    """``build_py`` that copies them into the package."""

    def run(self) -> None:
        package = Path(self.build_lib) / 'soho'
        if not self.editable_mode:
            # what an earlier build left here would be packed as well
            shutil.rmtree(package, ignore_errors=True)
        super().run()
        if not self.editable_mode:
            for name in shipped_files():
                copy = package / '.mim' / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy)


setup(cmdclass={'build_py': BuildWithConfigsAndTools})
