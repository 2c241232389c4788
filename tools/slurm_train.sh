#!/usr/bin/env bash
# Train as a slurm job:
#   GPUS=4 bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG [flags of train.py]
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: [GPUS=4] [GPUS_PER_NODE=4] [CPUS_PER_TASK=5] [SRUN_ARGS=...] $0 PARTITION JOB_NAME CONFIG [...]" >&2
    exit 2
fi
. "$(dirname "${BASH_SOURCE[0]}")/slurm_run.sh"
slurm_run "$1" "$2" train.py "$3" "${@:4}"
