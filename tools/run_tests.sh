#!/usr/bin/env bash
# Sets up .venv and passes the tests; needs neither data nor network once that is done.
#
#   bash tools/run_tests.sh [flags of pytest]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bash "$root/tools/setup_env.sh"
cd "$root"
# One process of tests on every core, with one thread each.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec "${MMWSSS_VENV:-$root/.venv}/bin/python" -m pytest -q -n auto "$@"
