#!/usr/bin/env bash
# Set up .venv and run the tests. After the setup, no data and no network are needed.
#
#   bash tools/run_tests.sh [flags of pytest]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bash "$root/tools/setup_env.sh"
cd "$root"
# One test process per core, with one thread each.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "${MMWSSS_VENV:-$root/.venv}/bin/python" -m pytest -q -n auto "$@"
