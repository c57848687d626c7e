#!/usr/bin/env bash
# Train in GPUS processes on this machine; NNODES, NODE_RANK, MASTER_ADDR and PORT join several machines.
set -euo pipefail

if (( $# < 2 )); then
    echo "usage: [NNODES=.. NODE_RANK=.. MASTER_ADDR=.. PORT=..] $0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi

tools="$(dirname "${BASH_SOURCE[0]}")"
exec bash "$tools/launch.sh" "$tools/train.py" "$2" "$1" --launcher pytorch "${@:3}"
