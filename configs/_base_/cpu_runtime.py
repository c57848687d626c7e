"""Runtime settings of small models on a CPU: one thread, so that the other cores are free for data and other runs."""

_base_ = './default_runtime.py'
env_cfg = dict(cpu_threads=1)
