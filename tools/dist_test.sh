#!/usr/bin/env bash
# Test a checkpoint in GPUS processes on this machine; NNODES, NODE_RANK, MASTER_ADDR and PORT join several.
set -euo pipefail

if (( $# < 3 )); then
    echo "usage: [NNODES=.. NODE_RANK=.. MASTER_ADDR=.. PORT=..]" \
         "$0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]" >&2
    exit 2
fi

tools="$(dirname "${BASH_SOURCE[0]}")"
exec bash "$tools/launch.sh" "$tools/test.py" "$3" "$1" "$2" --launcher pytorch "${@:4}"
