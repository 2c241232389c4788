#!/usr/bin/env bash
# Set up the environment, generate the sample data, train a plain CAM baseline and ToCo on
# it from image labels only, evaluate both, and write metrics and pictures.
#
#   bash tools/demo.sh [flags of tools/demo.py]
#   bash tools/demo.sh --original [...]       on the original OpenMMLab packages (see setup_env.sh)
#   MMWSSS_DEMO=short bash tools/demo.sh      a few iterations of each step, as a check
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
if [ "${1:-}" = --original ]; then
    export MMWSSS_STACK=original
    shift
fi
venv=$(bash "$root/tools/setup_env.sh")
flags=()
if [ "${MMWSSS_DEMO:-}" = short ]; then
    flags=(--short)
fi
cd "$root"
exec "$venv/bin/python" tools/demo.py ${flags[@]+"${flags[@]}"} "$@"
