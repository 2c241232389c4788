#!/usr/bin/env bash
# Sets up .venv and passes the tests; needs neither data nor network once that is done.
#
#   bash tools/run_tests.sh [flags of pytest]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bash "$root/tools/setup_env.sh"
cd "$root"
exec "${MMWSSS_VENV:-$root/.venv}/bin/python" -m pytest -q "$@"
