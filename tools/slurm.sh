#!/usr/bin/env bash
# Run a Python script on a Slurm cluster: one torchrun a machine, GPUS_PER_NODE processes under each.
#     [GPUS=16 GPUS_PER_NODE=8 CPUS_PER_TASK=5 SRUN_ARGS=..] tools/slurm.sh PARTITION JOB_NAME SCRIPT [ARGUMENTS...]
set -euo pipefail

gpus="${GPUS:-8}"
gpus_per_node="${GPUS_PER_NODE:-$(( gpus < 8 ? gpus : 8 ))}"
if (( gpus % gpus_per_node )); then
    echo "slurm.sh: GPUS=$gpus has to be a multiple of GPUS_PER_NODE=$gpus_per_node." >&2
    exit 2
fi

if ! command -v srun > /dev/null; then
    echo "slurm.sh: there is no srun here: a Slurm cluster is used from its login machine; without one" \
         "tools/dist_train.sh and tools/dist_test.sh start the processes." >&2
    exit 1
fi

export LAUNCH="$(dirname "${BASH_SOURCE[0]}")/launch.sh" GPUS_PER_NODE="$gpus_per_node"
# shellcheck disable=SC2016,SC2086  # the variables of each machine; SRUN_ARGS is several arguments
exec srun --partition="$1" --job-name="$2" --nodes=$(( gpus / gpus_per_node )) --ntasks-per-node=1 \
    --gres="gpu:$gpus_per_node" --cpus-per-task=$(( ${CPUS_PER_TASK:-5} * gpus_per_node )) \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} bash -c '
        # of this step: it may have fewer machines than the job, whose steps may run side by side
        export NNODES="${SLURM_STEP_NUM_NODES:-$SLURM_NNODES}" NODE_RANK="$SLURM_NODEID"
        export PORT="${PORT:-$(( 20000 + (SLURM_JOB_ID + ${SLURM_STEP_ID:-0}) % 10000 ))}"
        export MASTER_ADDR="$(scontrol show hostnames "${SLURM_STEP_NODELIST:-$SLURM_JOB_NODELIST}" | head -n 1)"
        exec bash "$LAUNCH" "$0" "$GPUS_PER_NODE" "$@"' "${@:3}"
