"""Wrappers of the model in several processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name('distributed_wrappers.py')


def torchrun(folder, *options):
    return subprocess.run(
        [
            *(sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2'),
            *(SCRIPT, folder, json.dumps(options)),
        ],
        env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(SCRIPT.parents[1])),
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_wrapper_is_as_its_config_says(tmp_path):
    process = torchrun(
        tmp_path,
        dict(sync_bn=True, find_unused_parameters=True),
        dict(sync_bn=['norm'], find_unused_parameters=True, model_wrapper_cfg=dict(broadcast_buffers=True)),
        dict(sync_bn=True, model_wrapper_cfg=dict(type='MMDistributedDataParallel', find_unused_parameters=True)),
    )
    assert process.returncode == 0, process.stderr
    name = 'MMDistributedDataParallel'
    expected = [[name, True, False], [name, True, True], [name, True, False]]
    assert process.stdout.count(json.dumps(expected)) == 2, process.stdout


def test_an_unused_parameter_is_an_error_unless_it_is_expected(tmp_path):
    process = torchrun(tmp_path, dict(sync_bn=True))
    assert process.returncode != 0 and 'find_unused_parameters=True' in process.stderr
