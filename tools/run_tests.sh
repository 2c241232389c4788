#!/usr/bin/env bash
# Set up the environment and run the tests. After the setup, no data and no network are needed.
#
#   bash tools/run_tests.sh [flags of pytest]
#   bash tools/run_tests.sh --original [flags of pytest]   on the original OpenMMLab packages (see setup_env.sh)
#   bash tools/run_tests.sh --coverage [flags of pytest]   prints the coverage of lines and branches of the package
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ "${1:-}" = --original ]; then
    export MMWSSS_STACK=original
    shift
fi
coverage=()
if [ "${1:-}" = --coverage ]; then
    coverage=(--cov --cov-report=term:skip-covered)
    shift
fi
venv=$(bash "$root/tools/setup_env.sh")
cd "$root"
# Three test processes for two cores (see tests/conftest.py), with one thread each.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ ${#coverage[@]} -gt 0 ]; then
    "$venv/bin/python" -m pip --disable-pip-version-check install -q -r requirements/checks.txt
fi
exec "$venv/bin/python" -m pytest -q -n auto --dist worksteal ${coverage[@]+"${coverage[@]}"} "$@"
