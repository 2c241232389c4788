#!/usr/bin/env bash
# Evaluate with several processes, one per GPU, or on the CPU over gloo where there is no GPU:
#   bash tools/dist_test.sh CONFIG CHECKPOINT NUM [flags of test.py]
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT NUM [flags of test.py]" >&2
    exit 2
fi
. "$(dirname "${BASH_SOURCE[0]}")/dist_run.sh"
dist_run "$3" test.py "$1" "$2" "${@:4}"
