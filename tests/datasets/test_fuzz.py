"""Readers of other people's files, fed with damaged ones: they accept them or say one short sentence.

``SOHO_FUZZ=500 pytest tests/datasets/test_fuzz.py`` tries so many of each format instead of a few;
``python -m tests.datasets.soak`` tries 100,000 others each time.
"""

import os
import signal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.datasets import soak
from tests.datasets.fuzzing import TARGETS, accepts_or_says, bytes_target

fuzz = settings(
    max_examples=int(os.environ.get('SOHO_FUZZ', 20)),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize('name', TARGETS)
@fuzz
@given(data=st.data())
def test_a_damaged_file_is_accepted_or_said(name, tmp_path, data):
    target = TARGETS[name]
    folder = tmp_path / 'files'
    if not folder.exists():
        folder.mkdir()
        target.prepare(folder)  # the whole file is accepted
    accepts_or_says(target.damage(folder, data))


def _crash(folder):
    os.kill(os.getpid(), signal.SIGSEGV)


def _take_memory(folder):
    bytearray(2 * soak.MEMORY)


def _raise(folder):
    raise KeyError('x')


@pytest.mark.parametrize('read, said', [(_crash, 'SIGSEGV'), (_take_memory, 'MemoryError'), (_raise, 'KeyError')])
def test_the_soak_says_what_a_reader_cannot_bear_and_keeps_it(read, said, tmp_path, monkeypatch):
    target = bytes_target('a', b'abc', lambda folder: read(folder) if (folder / 'a').read_bytes() != b'abc' else None)
    monkeypatch.setitem(TARGETS, 'bad one', target)
    lines = []
    assert soak.soak(40, 1, tmp_path / 'corpus', lines.append, ['voc, trainval.txt', 'bad one']) == 1
    assert '20 inputs' in lines[0] and said in lines[2] and '1 formats failed (bad one)' in lines[-1]
    assert (tmp_path / 'corpus' / 'bad_one' / 'a').read_bytes() != b'abc'
