#!/usr/bin/env bash
# Create a virtual environment of this checkout with everything that mmwsss needs: the MM packages, the optional
# packages, and those of the tests. If the environment is up to date, the script does nothing. It installs the packages
# again if the requirement files, setup.py or pyproject.toml have changed.
#
#   bash tools/setup_env.sh              creates .venv with the maintained distributions of the MM packages
#   bash tools/setup_env.sh --original   creates .venv-original with the original ones, as does MMWSSS_STACK=original
#   MMWSSS_MMCV=lite bash ...            takes the original mmcv without operators, instead of compiling them
#   MMWSSS_PYTHON=python3.11 bash ...    uses this Python
#   MMWSSS_VENV=DIR bash ...             creates the environment in DIR
#   MMWSSS_WHEELS=DIR bash ...           keeps compiled wheels of mmcv in DIR instead of ~/.cache/mmwsss/wheels
#   TORCH_INDEX=URL bash ...             installs torch from this index (builds for CUDA, ROCm, ...)
#   TORCH=2.4.1 bash ...                 installs this release of torch instead of the tested one
#
# Prints the path of the environment; all messages go to standard error.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cd "$ROOT"

exec 3>&1 1>&2
say() { printf '[setup] %s\n' "$*" >&2; }

STACK=${MMWSSS_STACK:-maintained}
for argument in "$@"; do
    case $argument in
        --original) STACK=original ;;
        *) say "unknown flag $argument; the only one is --original"; exit 2 ;;
    esac
done
case $STACK in
    maintained) NAME=.venv SUFFIX='' ;;
    original) NAME=.venv-original SUFFIX=_original ;;
    *) say "MMWSSS_STACK is '$STACK', and must be 'maintained' or 'original'"; exit 2 ;;
esac
MMCV=${MMWSSS_MMCV:-full}
VENV=${MMWSSS_VENV:-$ROOT/$NAME}
CONSTRAINTS=requirements/constraints$SUFFIX.txt
MMINSTALL=requirements/mminstall$SUFFIX.txt

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
    { echo "$ROOT" "${TORCH_INDEX:-}" "${TORCH:-}" "$STACK" "$MMCV"
      cat requirements.txt requirements/*.txt setup.py pyproject.toml; } | cksum
}

LOG=$VENV/setup.log
NEEDED=(-r requirements/runtime.txt -r requirements/tests.txt)

# Install with pip. All that it says goes to $LOG; one line shows what it is at, and errors are shown in full. Modules are
# not compiled, because most of what is installed is never imported; compile_imports compiles those that are.
pip_install() {
    "$VENV/bin/python" -m pip --disable-pip-version-check install --no-compile --progress-bar off "$@" 2>&1 |
        show_progress
}

# Read the output of pip. A terminal shows one line that changes, anything else a line every 15 seconds.
show_progress() {
    local line status state=resolving packages=0 shown=$SECONDS
    while true; do
        status=0
        IFS= read -r -t 15 line || status=$?
        [ $status = 0 ] || [ $status -gt 128 ] || break
        [ -z "$line" ] || printf '%s\n' "$line" >> "$LOG"
        case $line in
            Collecting\ *|Processing\ *) packages=$((packages + 1)); state=${line,} ;;
            *Downloading\ *|*'Building wheel'*) state=${line#"${line%%[![:space:]]*}"}; state=${state,} ;;
            Installing\ collected*) state="installing $(wc -w <<< "${line#*: }") packages" ;;
            ERROR:*|error:*) clear_line; say "$line" ;;
        esac
        if [ -t 2 ]; then
            clear_line
            printf '%.*s' "$((${COLUMNS:-80} - 1))" "[setup] $packages packages found, $state" >&2
        elif [ $((SECONDS - shown)) -ge 15 ]; then
            shown=$SECONDS
            say "$packages packages found, $state"
        fi
    done
    clear_line
}

# Remove the line that changes, on a terminal.
clear_line() { [ ! -t 2 ] || printf '\r\033[K' >&2; }

# Print the requirement lines that keep the installed torch, and NumPy 1 where torch was compiled for it.
torch_bounds() {
    "$VENV/bin/python" -c 'import re, torch
print("torch==" + torch.__version__.split("+")[0])
if tuple(map(int, re.findall(r"\d+", torch.__version__)[:2])) < (2, 3): print("numpy<2")'
}

# Install the exact versions that are known to work. If they do not exist for this Python or machine, or if TORCH names
# another torch, install the newest versions that are compatible. torch is installed first and separately and is not
# replaced; pip selects a torchvision that fits it.
install_packages() {
    local index=(${TORCH_INDEX:+--index-url "$TORCH_INDEX"})
    local torch=${TORCH:+torch==$TORCH} fixed=(-c "$CONSTRAINTS")
    torch=${torch:-$(pin torch)}
    say "installing $torch and what belongs to it: about 2 GB, usually one to three minutes; log: $LOG"
    if ! { pip_install ${index[@]+"${index[@]}"} "$torch" && [ -z "${TORCH:-}" ] &&
        install_family "${fixed[@]}"; }; then
        say 'not all pinned versions can be installed with this torch and Python, taking the newest that fit'
        "$VENV/bin/python" -c 'import torch' 2>/dev/null || pip_install ${index[@]+"${index[@]}"} 'torch>=2.4'
        mapfile -t fixed < <(torch_bounds)
        install_family "${fixed[@]}"
    fi
    [ "$STACK" = maintained ] || install_mmcv
    install_optional "${fixed[@]}"
}

# Print the tested version of a distribution as a requirement line.
pin() { grep "^$1==" "$CONSTRAINTS"; }

# Install the MM packages and what mmwsss and its tests need; the arguments bound the versions. The original mmcv is
# installed separately, because its operators have to be compiled for the installed torch.
install_family() {
    if [ "$STACK" = maintained ]; then
        pip_install -r "$MMINSTALL" "${NEEDED[@]}" "$@"
        return
    fi
    grep -v '^mmcv' "$MMINSTALL" > "$VENV/mminstall.txt"
    pip_install -r "$VENV/mminstall.txt" "${NEEDED[@]}" "$@"
}

# Install the original mmcv, with compiled operators unless MMWSSS_MMCV=lite. A wheel that was compiled for the same
# torch and Python is used again.
install_mmcv() {
    local wheels
    if [ "$MMCV" = lite ]; then
        pip_install "$(pin mmcv-lite)"
        return
    fi
    wheels=${MMWSSS_WHEELS:-$HOME/.cache/mmwsss/wheels}/$("$VENV/bin/python" -c 'import sys, torch
print(f"torch-{torch.__version__}-python-{sys.version_info[0]}.{sys.version_info[1]}")')
    compgen -G "$wheels/mmcv-*.whl" > /dev/null || build_mmcv "$wheels"
    say "installing mmcv from $wheels"
    pip_install "$wheels"/mmcv-*.whl
}

# Compile mmcv for the installed torch. Build isolation is off: an isolated build would take another torch, and a
# setuptools without pkg_resources. A wheel appears in the cache only when it is complete.
build_mmcv() {
    local wheels=$1 began=$SECONDS
    pip_install 'setuptools<81' wheel ninja
    say 'compiling the operators of mmcv: 10 to 60 minutes, depending on the machine (MMWSSS_MMCV=lite does without)'
    mkdir -p "$wheels"
    if ! MMCV_WITH_OPS=1 "$VENV/bin/python" -m pip --disable-pip-version-check wheel -q --no-build-isolation --no-deps \
        --no-binary mmcv -w "$wheels/partial" "$(pin mmcv)"; then
        say "mmcv does not compile here ($(((SECONDS - began) / 60)) minutes); MMWSSS_MMCV=lite does without operators"
        return 1
    fi
    mv "$wheels/partial"/mmcv-*.whl "$wheels"
    say "compiled mmcv in $(((SECONDS - began) / 60)) minutes"
}

# Install the optional packages. Name and skip those that cannot be installed (pydensecrf2 needs a C++ compiler).
install_optional() {
    local line
    pip_install -r requirements/optional.txt "$@" && return
    grep -v '^#' requirements/optional.txt | while read -r line; do
        pip_install "$line" "$@" || say "$line could not be installed; what needs it will say so"
    done
}

# Import what the tools import, so that Python keeps the compiled modules. It does so at every import unless
# PYTHONDONTWRITEBYTECODE is set, as in many container images, where every process would compile all of them again.
compile_imports() {
    env -u PYTHONDONTWRITEBYTECODE "$VENV/bin/python" - <<'END' 2> /dev/null || true
import contextlib
import importlib
import pkgutil

import mmwsss

for name in [*(module.name for module in pkgutil.walk_packages(mmwsss.__path__, 'mmwsss.') if '__' not in module.name),
             'jinja2', 'matplotlib.pyplot', 'mmpretrain.apis', 'mmpretrain.models', 'mmseg.apis', 'mmseg.visualization',
             'onnx', 'pandas', 'pydensecrf.densecrf', 'rich.progress', 'scipy.ndimage', 'scipy.optimize', 'sklearn',
             'torch._dynamo', 'torch.distributed.run', 'torch.onnx', 'yapf.yapflib.yapf_api']:
    with contextlib.suppress(Exception):
        importlib.import_module(name)
END
}

if [ "$(cat "$VENV/.mmwsss-stamp" 2>/dev/null || true)" = "$(fingerprint)" ]; then
    say "$VENV is up to date"
    echo "$VENV" >&3
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
# One at a time, because this writes to the checkout, and two environments may be set up at once.
exec 9< "$ROOT/setup.py"
! command -v flock > /dev/null || flock 9
pip_install --no-deps -e .
exec 9<&-
"$VENV/bin/python" -c 'import mmwsss; mmwsss.check_stack()'
say 'compiling what the tools import'
compile_imports
fingerprint > "$VENV/.mmwsss-stamp"
say "ready after $((SECONDS - started)) s; activate it with: source $VENV/bin/activate"
echo "$VENV" >&3
