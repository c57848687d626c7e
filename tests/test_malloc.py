"""Memory that was freed is used again."""
import subprocess
import sys


def test_freed_memory_is_kept():
    script = ('import resource, sys; from soho.malloc import keep_freed_memory; import torch\n'
              'if sys.argv[1] == "keep": assert keep_freed_memory()\n'
              'faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n'
              'for _ in range(20): torch.ones(2**24)\n'  # until the heap has its size
              'before = faults()\n'
              'for _ in range(5): torch.ones(2**24)\n'  # 64 MiB each, 16,384 pages
              'print(faults() - before)')
    faults = {how: int(subprocess.run([sys.executable, '-c', script, how], capture_output=True, text=True, check=True)
                       .stdout) for how in ('keep', 'return')}
    assert faults['keep'] < 1000 < 50000 < faults['return']
