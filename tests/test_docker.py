"""docker/: the files that an image is made of are there and reach the builder; it runs as a user."""

import fnmatch
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / 'docker').glob('Dockerfile*'))


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)
def test_an_image_is_made_of_what_is_there(file):
    text = re.sub(r'\\\n', ' ', file.read_text())
    allowed = [line[1:] for line in (ROOT / '.dockerignore').read_text().splitlines() if line.startswith('!')]
    copied = [word for line in re.findall(r'^COPY --\S+ (.*) \S+$', text, re.MULTILINE) for word in line.split()]
    named = re.findall(r'(?:-r|--override) (requirements/\S+)', text)
    assert {'soho', 'configs', 'tools'} <= set(copied) and len(named) >= 3
    assert not [name for name in copied + named if not (ROOT / name).exists()]
    assert not [name for name in copied if not any(fnmatch.fnmatch(name, pattern) for pattern in allowed)]


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)
def test_a_container_runs_as_a_user_and_keeps_data_outside(file):
    text = file.read_text()
    assert re.findall(r'^USER (\S+)', text, re.MULTILINE) == ['soho']
    assert 'VOLUME ["/workspace/data", "/workspace/work_dirs"]' in text
    assert '://' not in text  # no registry of its own
