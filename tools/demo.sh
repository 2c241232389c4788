#!/usr/bin/env bash
# From nothing to masks: sets up .venv, generates the sample data, trains a plain CAM baseline and ToCo on
# it from image labels alone, evaluates both, and leaves numbers and pictures.
#
#   bash tools/demo.sh [flags of tools/demo.py]
#   MMWSSS_DEMO=short bash tools/demo.sh      a few iterations of everything, to see that it runs
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
bash "$root/tools/setup_env.sh"
flags=()
if [ "${MMWSSS_DEMO:-}" = short ]; then
    flags=(--short)
fi
cd "$root"
exec "${MMWSSS_VENV:-$root/.venv}/bin/python" tools/demo.py ${flags[@]+"${flags[@]}"} "$@"
