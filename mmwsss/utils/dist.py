"""Start distributed runs with and without accelerators, and choose the backend.

mmengine starts distributed runs for accelerators only: it selects a CUDA device for each process and
gives the model wrapper a device number. On a machine without one, :func:`prepare_distributed` starts
the process group over gloo first, which mmengine then finds ready, and tells the wrapper that the
model lives on the CPU.
"""

import atexit
import datetime
import gc
import os

import torch
import torch.distributed as torch_dist
from mmengine.config import Config
from mmengine.device import get_device

__all__ = ['is_first_process', 'num_processes', 'prepare_distributed']

LAUNCHERS = {
    'pytorch': {},
    'slurm': {'RANK': 'SLURM_PROCID', 'WORLD_SIZE': 'SLURM_NTASKS', 'LOCAL_RANK': 'SLURM_LOCALID'},
    'mpi': {'RANK': 'OMPI_COMM_WORLD_RANK', 'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
            'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK'},
}
"""Launchers, and which of their variables holds what torch calls by its own name."""

VARIABLES = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')


def is_first_process() -> bool:
    """Return whether the launcher's variables count this process as the first, known before the run is distributed.

    Without a launcher, every process is the first of its own run.
    """
    names = ('RANK', *(variables['RANK'] for variables in LAUNCHERS.values() if variables))
    ranks = [os.environ[name] for name in names if os.environ.get(name)]
    return not ranks or int(ranks[0]) == 0


def prepare_distributed(cfg: Config, launcher: str) -> bool:
    """Prepare a distributed run on a machine with or without accelerators; call it before the Runner is built.

    With an accelerator, or without a launcher, the config stays as it is. Without one, the backend
    becomes gloo, the model wrapper loses its device number, and the process group is started.

    Args:
        cfg (Config): The run's config, changed in place: ``env_cfg.dist_cfg.backend`` and
            ``model_wrapper_cfg``.
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.

    Returns:
        bool: Whether gloo was chosen.

    Raises:
        ValueError: The launcher is unknown, its environment variables are missing, or there are
            fewer GPUs than processes.
    """
    if launcher == 'none':
        return False
    if launcher not in LAUNCHERS:
        raise ValueError(f"launcher is {launcher!r}, must be 'none' or one of {sorted(LAUNCHERS)}")
    if get_device() not in ('cpu', 'mps'):
        _check_gpu_count()
        return False
    cfg.merge_from_dict({'env_cfg.dist_cfg.backend': 'gloo'})
    cfg.model_wrapper_cfg = _cpu_wrapper(cfg)
    if not torch_dist.is_initialized():
        _export_variables(launcher)
        torch_dist.init_process_group(
            'gloo', timeout=datetime.timedelta(seconds=cfg.env_cfg.dist_cfg.get('timeout', 1800)))
        # Threads of gloo that outlive the interpreter abort the process.
        atexit.register(_leave_process_group)
    return True


def num_processes(launcher: str) -> int:
    """Return the number of processes of this run, which need not have been connected yet.

    Args:
        launcher (str): ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
    """
    if launcher == 'none':
        return 1
    return int(os.environ.get(LAUNCHERS.get(launcher, {}).get('WORLD_SIZE', 'WORLD_SIZE'), 1))


def _leave_process_group() -> None:
    """Destroy the process group to end the threads of gloo, after releasing what still refers to the group."""
    gc.collect()
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()
    gc.collect()


def _check_gpu_count() -> None:
    """Refuse to start more processes than GPUs, with a clearer error than that of CUDA."""
    local_rank = int(os.environ.get('LOCAL_RANK', 0))
    if torch.cuda.is_available() and local_rank >= torch.cuda.device_count():
        raise ValueError(
            f'process {local_rank} of this machine finds {torch.cuda.device_count()} GPU(s): start at '
            'most one process per GPU, or set CUDA_VISIBLE_DEVICES=-1 to run on the CPU over gloo')


def _cpu_wrapper(cfg: Config) -> dict:
    """Return the config of the model wrapper, by default that of mmengine, without a device number."""
    wrapper = dict(cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False)))
    wrapper['device_ids'] = None
    return wrapper


def _export_variables(launcher: str) -> None:
    """Set torch's environment variables from the launcher's."""
    for name, source in LAUNCHERS[launcher].items():
        if source in os.environ:
            os.environ[name] = os.environ[source]
    os.environ.setdefault('MASTER_PORT', '29500')
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise ValueError(f'launcher {launcher!r} without {", ".join(missing)} in the environment: '
                         'start the run through tools/dist_train.sh or tools/slurm_train.sh')
