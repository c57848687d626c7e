#!/usr/bin/env bash
# Run a Python script in GPUS processes on this machine, one of NNODES; without a GPU they talk through gloo.
#     [NNODES=2 NODE_RANK=0 MASTER_ADDR=host PORT=29500] tools/launch.sh SCRIPT GPUS [ARGUMENTS...]
# PYTHON names the interpreter; else it is that of the activated environment, else that of `make env`.
# A signal that stops a run goes on to all processes, and the exit code is then 75; more is said in launch.py.
set -euo pipefail

if (( $# < 2 )) || ! [[ $2 =~ ^[1-9][0-9]*$ ]]; then
    echo "launch.sh: GPUS has to be the number of processes on this machine, not '${2:-}'." >&2
    exit 2
fi

if [[ -z ${PYTHON:-} ]]; then
    PYTHON="$(dirname "${BASH_SOURCE[0]}")/../.venv/bin/python"
    if [[ -n ${VIRTUAL_ENV:-}${CONDA_PREFIX:-} || ! -x $PYTHON ]]; then
        PYTHON=python
    fi
fi

# looked for, not imported, which would take seconds
if ! "$PYTHON" -c 'import importlib.util, sys; sys.exit(not importlib.util.find_spec("torch"))' 2> /dev/null; then
    echo "launch.sh: $PYTHON has no torch: \`make env\` makes one that has, or name one with PYTHON=..." >&2
    exit 1
fi

if [[ ${NNODES:-1} == 1 && -z ${PORT:-} ]]; then
    # any free port, so that two runs on one machine do not meet
    rendezvous=(--standalone --local-addr=127.0.0.1)
else
    rendezvous=(--nnodes="${NNODES:-1}" --node-rank="${NODE_RANK:-0}"
                --master-addr="${MASTER_ADDR:-127.0.0.1}" --master-port="${PORT:-29500}")
fi

# the processes share the cores with their data workers
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec "$PYTHON" "$(dirname "${BASH_SOURCE[0]}")/launch.py" "${rendezvous[@]}" --nproc-per-node="$2" "$1" "${@:3}"
