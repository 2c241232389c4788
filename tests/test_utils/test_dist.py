"""Choosing gloo on machines without an accelerator."""

import pytest
import torch
import torch.distributed as torch_dist
from mmengine.config import Config

from mmwsss.utils import dist
from mmwsss.utils.dist import prepare_distributed


@pytest.fixture
def one_process(monkeypatch):
    """Pose as the only process that a launcher started, on a machine without accelerator."""
    monkeypatch.setattr(dist, 'get_device', lambda: 'cpu')
    for name in dist.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    monkeypatch.setenv('MASTER_PORT', '0')
    yield monkeypatch
    if torch_dist.is_initialized():
        torch_dist.destroy_process_group()


def test_nothing_changes_without_launcher():
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl'))))
    before = cfg.to_dict()
    assert prepare_distributed(cfg, 'none') is False
    assert cfg.to_dict() == before
    assert not torch_dist.is_initialized()


def test_nothing_changes_with_accelerator(one_process):
    one_process.setattr(dist, 'get_device', lambda: 'npu')
    cfg = Config(dict(env_cfg=dict(dist_cfg=dict(backend='hccl'))))
    assert prepare_distributed(cfg, 'pytorch') is False
    assert cfg.env_cfg.dist_cfg.backend == 'hccl'
    assert 'model_wrapper_cfg' not in cfg


@pytest.mark.parametrize(('launcher', 'names'), [
    ('pytorch', ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')),
    ('slurm', ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID')),
    ('mpi', ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK')),
])
def test_gloo_without_accelerator(one_process, launcher, names):
    for name, value in zip(names, '010'):
        one_process.setenv(name, value)
    cfg = Config(dict(find_unused_parameters=True))
    assert prepare_distributed(cfg, launcher) is True
    assert cfg.env_cfg.dist_cfg.backend == 'gloo'
    assert cfg.model_wrapper_cfg == dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                                         find_unused_parameters=True, device_ids=None)
    assert torch_dist.get_backend() == 'gloo'
    assert torch_dist.get_world_size() == 1
    assert prepare_distributed(cfg, launcher) is True, 'may be called again'


def test_own_wrapper_is_kept(one_process):
    for name, value in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), '010'):
        one_process.setenv(name, value)
    cfg = Config(dict(model_wrapper_cfg=dict(type='MMSeparateDistributedDataParallel', static_graph=True)))
    prepare_distributed(cfg, 'pytorch')
    assert cfg.model_wrapper_cfg == dict(type='MMSeparateDistributedDataParallel', static_graph=True, device_ids=None)


def test_missing_variables_are_named(one_process):
    one_process.setenv('RANK', '0')
    with pytest.raises(ValueError, match='without WORLD_SIZE, LOCAL_RANK in the environment'):
        prepare_distributed(Config({}), 'pytorch')


def test_unknown_launcher():
    with pytest.raises(ValueError, match="launcher is 'ssh'"):
        prepare_distributed(Config({}), 'ssh')


def test_too_few_gpus(one_process):
    one_process.setattr(dist, 'get_device', lambda: 'cuda')
    one_process.setattr(torch.cuda, 'is_available', lambda: True)
    one_process.setattr(torch.cuda, 'device_count', lambda: 1)
    one_process.setenv('LOCAL_RANK', '1')
    with pytest.raises(ValueError, match=r'process 1 of this machine finds 1 GPU\(s\)'):
        prepare_distributed(Config({}), 'pytorch')
