#!/usr/bin/env bash
# Create the virtual environment .venv of this checkout with everything that mmwsss needs: the maintained distributions
# of the MM packages, the optional packages, and those of the tests. If the environment is up to date, the script does
# nothing. It installs the packages again if the requirement files, setup.py or pyproject.toml have changed.
#
#   bash tools/setup_env.sh              creates .venv
#   MMWSSS_PYTHON=python3.11 bash ...    uses this Python
#   MMWSSS_VENV=DIR bash ...             creates the environment in DIR
#   TORCH_INDEX=URL bash ...             installs torch from this index (builds for CUDA, ROCm, ...)
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=${MMWSSS_VENV:-$ROOT/.venv}
CONSTRAINTS=requirements/constraints.txt
cd "$ROOT"

say() { printf '[setup] %s\n' "$*" >&2; }

find_python() {
    local candidate
    for candidate in ${MMWSSS_PYTHON:-python3.11 python3.12 python3.13 python3.10 python3 python}; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say 'no Python 3.10 or newer with the venv module found (Debian: apt-get install python3-venv);'
    say 'name one with MMWSSS_PYTHON=/path/to/python'
    return 1
}

# Print a checksum of everything that requires a new installation when it changes. The path of the checkout is included
# because an editable installation points to it.
fingerprint() {
    { echo "$ROOT" "${TORCH_INDEX:-}"; cat requirements.txt requirements/*.txt setup.py pyproject.toml; } | cksum
}

PIP=("$VENV/bin/python" -m pip --disable-pip-version-check install -q)
NEEDED=(-r requirements/mminstall.txt -r requirements/runtime.txt -r requirements/tests.txt)

# Install the exact versions that are known to work. If they do not exist for this Python or machine, install the newest
# versions that are compatible. torch is installed first and separately and is not replaced; pip selects a torchvision
# that fits it.
install_packages() {
    local index=(${TORCH_INDEX:+--index-url "$TORCH_INDEX"})
    local pinned fixed
    pinned=$(grep '^torch==' "$CONSTRAINTS")
    fixed=(-c "$CONSTRAINTS")
    say "installing $pinned"
    if ! { "${PIP[@]}" ${index[@]+"${index[@]}"} "$pinned" && "${PIP[@]}" "${NEEDED[@]}" "${fixed[@]}"; }; then
        say 'the pinned versions cannot be installed here, taking the newest that fit'
        "$VENV/bin/python" -c 'import torch' 2>/dev/null || "${PIP[@]}" ${index[@]+"${index[@]}"} 'torch>=2.4'
        fixed=("$("$VENV/bin/python" -c 'import torch; print("torch==" + torch.__version__.split("+")[0])')")
        "${PIP[@]}" "${NEEDED[@]}" "${fixed[@]}"
    fi
    install_optional "${fixed[@]}"
}

# Install the optional packages. Name and skip those that cannot be installed (pydensecrf2 needs a C++ compiler).
install_optional() {
    local line
    "${PIP[@]}" -r requirements/optional.txt "$@" && return
    grep -v '^#' requirements/optional.txt | while read -r line; do
        "${PIP[@]}" "$line" "$@" || say "$line could not be installed; what needs it will say so"
    done
}

if [ "$(cat "$VENV/.mmwsss-stamp" 2>/dev/null || true)" = "$(fingerprint)" ]; then
    say "$VENV is up to date"
    exit 0
fi
started=$SECONDS
if ! "$VENV/bin/python" -c '' 2>/dev/null; then
    python=$(find_python)
    say "making $VENV with $python"
    "$python" -m venv --clear "$VENV"
fi
install_packages
say 'installing mmwsss'
"${PIP[@]}" --no-deps -e .
"$VENV/bin/python" -c 'import mmwsss; mmwsss.check_stack()'
fingerprint > "$VENV/.mmwsss-stamp"
say "ready after $((SECONDS - started)) s; activate it with: source $VENV/bin/activate"
