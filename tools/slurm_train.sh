#!/usr/bin/env bash
# Train on a Slurm cluster; what GPUS and the other variables mean is said in tools/slurm.sh.
set -euo pipefail

if (( $# < 4 )); then
    echo "usage: [GPUS=.. GPUS_PER_NODE=.. CPUS_PER_TASK=.. SRUN_ARGS=..]" \
         "$0 PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]" >&2
    exit 2
fi

tools="$(dirname "${BASH_SOURCE[0]}")"
exec bash "$tools/slurm.sh" "$1" "$2" "$tools/train.py" "$3" --work-dir "$4" --launcher pytorch "${@:5}"
