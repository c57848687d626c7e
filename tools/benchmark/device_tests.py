"""The tests of the recipes' steps on this device, and the memory that each of them took."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from soho.platform import available_cores
from tools.benchmark.bench import Bench, Rows

ROOT = Path(__file__).resolve().parents[2]
# On a GPU all tests that need one; on a CPU the same steps, as far as they go there.
SUITES = dict(cuda=['tests', '-m', 'gpu'], cpu=['tests/test_devices.py', '-m', 'not gpu'])
SECONDS = dict(cuda=300, cpu=900)  # that the tests may take
PROCESSES = 8  # at most, which share the device


def device_tests(bench: Bench) -> Rows:
    """Run the tests and return how many passed, their time, and the peak memory of each on a GPU.

    Raises:
        RuntimeError: A test failed, none was run, or they took too long.
    """
    device = bench.device.type
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.xml'
        processes = min(PROCESSES, available_cores())
        options = ['-q', '-p', 'no:cacheprovider', f'--junitxml={report}', '-n', str(processes), '--dist', 'worksteal']
        command = [sys.executable, '-m', 'pytest', *SUITES[device], *options]
        environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT))
        # A file, not a pipe: the workers with which torch compiles would keep that open.
        with open(Path(folder) / 'output', 'w+') as output:
            try:
                subprocess.run(
                    command, cwd=ROOT, env=environment, timeout=SECONDS[device], stdout=output, stderr=output
                )
            except subprocess.TimeoutExpired:
                raise RuntimeError(f'the tests took longer than {SECONDS[device]} seconds') from None
            output.seek(0)
            said = output.read().strip().splitlines()
        if not report.exists():
            raise RuntimeError(f'the tests could not be run: {said[-1] if said else "pytest said nothing"}')
        return _read(ElementTree.parse(report).getroot())


def _read(report: ElementTree.Element) -> Rows:
    """Return the metrics of a report in JUnit's form."""
    cases = [case for case in report.iter('testcase') if case.find('skipped') is None]
    bad = [(case, fault) for case in cases for fault in case if fault.tag in ('failure', 'error')]
    if bad:
        said = [f'{case.get("classname")}::{case.get("name")}: {_first_line(fault)}' for case, fault in bad]
        raise RuntimeError(f'{len(bad)} of {len(cases)} tests failed: {"; ".join(said)}')
    if not cases:
        raise RuntimeError('no test was run on this device')
    rows: Rows = [
        ('device tests: passed', len(cases), 'tests'),
        ('device tests: time of all', sum(float(case.get('time', 0)) for case in cases), 's'),
    ]
    for case in cases:
        for value in case.iter('property'):
            if value.get('name') == 'peak_memory_mib':
                mebibytes = float(value.get('value', 'nan'))
                rows.append((f'device tests: peak memory of {case.get("name")}', mebibytes / 1024, 'GiB'))
    return rows


def _first_line(fault: ElementTree.Element) -> str:
    return (fault.get('message') or '').partition('\n')[0]
