#!/usr/bin/env bash
# Set up the environment and run the tests. After the setup, no data and no network are needed.
#
#   bash tools/run_tests.sh [flags of pytest]
#   bash tools/run_tests.sh --original [flags of pytest]   on the original OpenMMLab packages (see setup_env.sh)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ "${1:-}" = --original ]; then
    export MMWSSS_STACK=original
    shift
fi
venv=$(bash "$root/tools/setup_env.sh")
cd "$root"
# One test process per core, with one thread each.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "$venv/bin/python" -m pytest -q -n auto --dist worksteal "$@"
