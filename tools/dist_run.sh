# Shared by dist_train.sh and dist_test.sh: launch SCRIPT with NUM processes.
# Environment: NNODES, NODE_RANK, MASTER_ADDR, PORT (several machines), OMP_NUM_THREADS, PYTHON.

dist_run() {
    local num=$1 script=$2
    shift 2
    case $num in
        ''|*[!0-9]*|0) echo "the number of processes must be a positive number, got '$num'" >&2; return 2 ;;
    esac
    local root
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
    local cores
    cores=$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 1)
    if [ -z "${OMP_NUM_THREADS:-}" ]; then
        export OMP_NUM_THREADS=$(( cores / num > 0 ? cores / num : 1 ))
    fi
    local rendezvous=(--standalone)
    if [ "${NNODES:-1}" != 1 ] || [ -n "${PORT:-}" ]; then
        rendezvous=(--nnodes "${NNODES:-1}" --node-rank "${NODE_RANK:-0}"
                    --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "${PORT:-29500}")
    fi
    # The launcher takes the place of this shell, so that signals reach it.
    PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" exec "${PYTHON:-python}" "$root/tools/launch.py" \
        "${rendezvous[@]}" --nproc-per-node "$num" "$root/tools/$script" "$@" --launcher pytorch
}
