# Shared by slurm_train.sh and slurm_test.sh: run SCRIPT as a slurm job.
# Environment: GPUS, GPUS_PER_NODE, CPUS_PER_TASK, SRUN_ARGS, PYTHON.

slurm_run() {
    local partition=$1 job=$2 script=$3
    shift 3
    local root gpus=${GPUS:-4} per_node extra=()
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
    per_node=${GPUS_PER_NODE:-$(( gpus < 8 ? gpus : 8 ))}
    read -r -a extra <<< "${SRUN_ARGS:-}" || true
    PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" srun --partition "$partition" --job-name "$job" \
        --gres "gpu:$per_node" --ntasks "$gpus" --ntasks-per-node "$per_node" \
        --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${extra[@]+"${extra[@]}"} \
        "${PYTHON:-python}" -u "$root/tools/$script" "$@" --launcher slurm
}
