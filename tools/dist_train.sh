#!/usr/bin/env bash
# Train with several processes, one per GPU, or on the CPU over gloo where there is no GPU:
#   bash tools/dist_train.sh CONFIG NUM [flags of train.py]
# Several machines: NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 bash tools/dist_train.sh ...
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG NUM [flags of train.py]" >&2
    exit 2
fi
. "$(dirname "${BASH_SOURCE[0]}")/dist_run.sh"
dist_run "$2" train.py "$1" "${@:3}"
