#!/usr/bin/env bash
# Answer the test questions of a VQA config and write the submission file of the official server.
#     tools/dist_test_vqa.sh configs/VQA/soho_res18_vqa.py 18 8
# tests work_dirs/VQA/soho_res18_vqa/epoch_18.pth in 8 processes and writes test_results/test_submit_18.json
# beside it. A path to a checkpoint may stand in the epoch's place; WORK_DIR names another work dir. With IN_OUT_PATH
# set, work_dirs/ is looked for below it, where the recipes write, and then here.
set -euo pipefail

if (( $# < 3 )); then
    echo "usage: [WORK_DIR=..] $0 CONFIG EPOCH_OR_CHECKPOINT GPUS [arguments of tools/test.py]" >&2
    exit 2
fi

# the default of tools/train.py: the config's path below configs/, without its ending
config="/$1"
config="${config##*/configs/}"
if [[ $config == /* && -f $1 ]]; then
    config="$(basename "$config")"
fi
config="${config#/}"  # of a config that ships with soho, its name
default="work_dirs/${config%.py}"
if [[ -d ${IN_OUT_PATH:-.}/$default ]]; then
    default="${IN_OUT_PATH:+$IN_OUT_PATH/}$default"
fi
work_dir="${WORK_DIR:-$default}"

if [[ $2 =~ ^[0-9]+$ ]]; then
    name="$2"
    checkpoint="$work_dir/epoch_$2.pth"
else
    name="$(basename "$2" .pth)"
    checkpoint="$2"
fi
if [[ ! -f $checkpoint ]]; then
    echo "dist_test_vqa.sh: there is no checkpoint $checkpoint: train $1 first, or name an epoch or a file" \
         "that is there." >&2
    exit 1
fi

mkdir -p "$work_dir/test_results"
exec bash "$(dirname "${BASH_SOURCE[0]}")/dist_test.sh" "$1" "$checkpoint" "$3" \
    --out "$work_dir/test_results/test_submit_$name.json" "${@:4}"
