#!/usr/bin/env bash
# Evaluate as a slurm job:
#   GPUS=4 bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [flags of test.py]
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: [GPUS=4] [GPUS_PER_NODE=4] [CPUS_PER_TASK=5] [SRUN_ARGS=...] $0 PARTITION JOB_NAME CONFIG CHECKPOINT [...]" >&2
    exit 2
fi
. "$(dirname "${BASH_SOURCE[0]}")/slurm_run.sh"
slurm_run "$1" "$2" test.py "$3" "$4" "${@:5}"
