"""Readers of other people's files, fed with damaged ones: they accept them or say one short sentence.

``SOHO_FUZZ=20000 pytest tests/datasets/test_fuzz.py`` tries so many in place of 2,000;
``python -m tests.datasets.soak`` tries 100,000 others each time.
"""

import os
import re
import signal
import subprocess
import sys

import pytest

from soho.paths import TOOLS
from tests.datasets import soak
from tests.datasets.fuzz_targets import TARGETS
from tests.datasets.fuzzing import accepts_or_says, bytes_target, corpus

INPUTS = int(os.environ.get('SOHO_FUZZ', 2000))  # of all formats together
SEED = 14
PARTS = 2  # for several workers of pytest
DEEP = ('arrays of logits', 'headers of a tar, pax', 'parts of a checkpoint', 'values of a config')


def fuzz(names, inputs, corpus):
    """Output of the command in a Python of its own: a fork of this one would inherit what earlier tests have left."""
    command = [sys.executable, '-m', 'tests.datasets.soak', f'--inputs={inputs}', f'--seed={SEED}']
    done = subprocess.run(
        [*command, f'--corpus={corpus}', '--formats', *names], cwd=TOOLS.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize('part', range(PARTS))
def test_damaged_files_are_accepted_or_said(part, tmp_path):
    """Each format in a process of its own, and each input within its time and memory."""
    names = list(TARGETS)[part::PARTS]
    said = fuzz(names, -(-INPUTS // PARTS), tmp_path)
    (inputs, formats) = re.search(r'^(\d+) inputs of (\d+) formats: .* 0 formats failed', said, re.MULTILINE).groups()
    assert int(inputs) * PARTS >= INPUTS and int(formats) == len(names)


def test_damage_reaches_what_stands_behind_the_checksums(tmp_path):
    said = fuzz(DEEP, 60 * len(DEEP), tmp_path)
    kinds = re.findall(r'^.+: 60 inputs, \d+ sentences of (\d+) kinds', said, re.MULTILINE)
    assert len(kinds) == len(DEEP) and min(map(int, kinds)) >= 3, said


@pytest.mark.parametrize('name', [name for name in TARGETS if corpus(name)])
def test_what_readers_could_not_bear_once(name, tmp_path):
    target = TARGETS[name]
    target.prepare(tmp_path)
    for file in corpus(name):
        accepts_or_says(target.put(tmp_path, file.read_bytes()))


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
    assert soak.soak(40, 1, tmp_path / 'corpus', lines.append, ['trainval.txt', 'bad one']) == 1
    assert '20 inputs' in lines[0] and said in lines[2] and '1 formats failed (bad one)' in lines[-1]
    assert (tmp_path / 'corpus' / 'bad_one' / 'a').read_bytes() != b'abc'
