"""Memory that was freed is used again, and goes back when it is told to."""

import subprocess
import sys

from soho.engine import Runner


def test_freed_memory_is_kept():
    script = (
        'import resource, sys; from soho.malloc import keep_freed_memory; import torch\n'
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
        'import torch; from soho.malloc import keep_freed_memory, release_freed_memory\n'
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
