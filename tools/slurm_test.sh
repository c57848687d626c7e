#!/usr/bin/env bash
# Test a checkpoint on a Slurm cluster; what GPUS and the other variables mean is said in tools/slurm.sh.
set -euo pipefail

if (( $# < 4 )); then
    echo "usage: [GPUS=.. GPUS_PER_NODE=.. CPUS_PER_TASK=.. SRUN_ARGS=..]" \
         "$0 PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]" >&2
    exit 2
fi

tools="$(dirname "${BASH_SOURCE[0]}")"
exec bash "$tools/slurm.sh" "$1" "$2" "$tools/test.py" "$3" "$4" --launcher pytorch "${@:5}"
