"""Memory that was freed is used again; products by oneDNN are as exact as float32 is, or not used."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import soho
from soho.engine import Runner
from soho.platform import has_bfloat16_units, name_unknown_user, use_onednn_products


@pytest.fixture(autouse=True)
def _products_as_before():
    yield
    torch.set_float32_matmul_precision('highest')


def test_freed_memory_is_kept():
    script = (
        'import resource, sys; from soho.platform import keep_freed_memory; import torch\n'
        'if sys.argv[1] == "keep": assert keep_freed_memory()\n'
        'faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n'
        'for _ in range(20): torch.ones(2**24)\n'  # until the heap has its size
        'before = faults()\n'
        'for _ in range(5): torch.ones(2**24)\n'  # 64 MiB each, 16,384 pages
        'print(faults() - before)'
    )
    faults = {
        how: int(subprocess.run([sys.executable, '-c', script, how], capture_output=True, text=True, check=True).stdout)
        for how in ('keep', 'return')
    }
    assert faults['keep'] < 1000 < 50000 < faults['return']


def test_freed_memory_is_released():
    script = (
        'import torch; from soho.platform import keep_freed_memory, release_freed_memory\n'
        'keep_freed_memory()\n'
        'held = lambda: int(open("/proc/self/statm").read().split()[1]) // 256\n'  # MiB
        'tensors = [(torch.ones(2**22), torch.ones(64)) for _ in range(32)]\n'  # 16 MiB, and something behind it
        'small = [second for first, second in tensors]\n'
        'del tensors\n'
        'before = held()\n'
        'assert release_freed_memory()\n'
        'print(before - held())'
    )
    process = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True, check=True)
    assert int(process.stdout) > 400


def test_a_run_releases_it_now_and_then(tiny_config, monkeypatch):
    calls = []
    monkeypatch.setattr('soho.engine.hooks.release_memory.release_freed_memory', lambda: calls.append(1))
    monkeypatch.setattr('torch.accelerator.is_available', lambda: False)
    Runner.from_cfg(tiny_config('vqa', iters=5, custom_hooks=[dict(type='ReleaseMemoryHook', interval=2)])).train()
    assert len(calls) == 2


def test_products_stay_float32():
    use_onednn_products()
    a, b = torch.randn(300, 700), torch.randn(700, 200)
    torch.testing.assert_close(a @ b, (a.double() @ b.double()).float(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(a[None] @ b[None], (a.double() @ b.double()).float()[None], rtol=1e-5, atol=1e-4)


def test_bfloat16_inside_of_products_is_refused(monkeypatch):
    monkeypatch.setattr(
        torch.Tensor,
        '__matmul__',
        lambda a, b: torch.mm(a.bfloat16().to(a), b.bfloat16().to(b)) if a.dtype == torch.float32 else torch.mm(a, b),
    )
    assert not use_onednn_products()
    assert torch.get_float32_matmul_precision() == 'highest'


@pytest.mark.parametrize('asked', [True, False])
def test_a_run_uses_them_where_its_config_says_so(asked, tiny_config, monkeypatch):
    calls = []
    for name in ('use_onednn_products', 'keep_freed_memory'):
        monkeypatch.setattr(f'soho.engine.runner.{name}', lambda name=name: calls.append(name))
    Runner.from_cfg(tiny_config(env_cfg=dict(onednn_products=asked, keep_freed_memory=asked)))
    assert calls == ['use_onednn_products', 'keep_freed_memory'] * asked


def test_a_user_without_name_and_home_can_import():
    code = (
        'import pwd\ndef unknown(_): raise KeyError\npwd.getpwuid = unknown\n'  # of a number in a container
        'import soho, getpass, yapf, os; print(getpass.getuser(), os.path.expanduser("~"))'
    )
    said = subprocess.run(
        [sys.executable, '-c', code],
        cwd=Path(soho.__file__).resolve().parents[1],
        env=dict(PATH=os.environ['PATH'], PYTHONDONTWRITEBYTECODE='1'),
        capture_output=True,
        text=True,
    )
    assert said.stdout == f'uid{os.getuid()} /nonexistent\n', said.stderr


def test_a_user_with_a_home_keeps_it(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    before = dict(os.environ)
    name_unknown_user()
    assert dict(os.environ) == before


@pytest.mark.skipif(
    not sys.platform.startswith('linux') or platform.machine() != 'x86_64', reason='flags of x86 on Linux'
)
def test_bfloat16_needs_instructions(monkeypatch):
    flags = Path('/proc/cpuinfo').read_text()
    assert has_bfloat16_units() == ('avx512bw' in flags or 'avx_ne_convert' in flags)
    monkeypatch.setattr(torch.backends.mkldnn, 'is_available', lambda: False)
    assert not has_bfloat16_units()
