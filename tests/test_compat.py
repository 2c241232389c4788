"""What mends torchvision's import and the loading of mmengine's checkpoints: needed, and works."""

import pickle
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from mmwsss import compat


def python(code, check=True, **env):
    import os
    return subprocess.run([sys.executable, '-c', code], text=True, capture_output=True, check=check,
                          env={**os.environ, **env})


@pytest.fixture(scope='module')
def plain_torchvision():
    """Give what a plain ``import torchvision`` says in a fresh process."""
    return python('import torchvision', check=False)


def test_torchvision_needs_the_schemas_here(plain_torchvision):
    if plain_torchvision.returncode == 0:
        pytest.skip('torchvision fits torch on this machine')
    assert 'operator torchvision::nms does not exist' in plain_torchvision.stderr
    out = python('import mmwsss, torchvision, torch\n'
                 'from torchvision import transforms\n'
                 'print(transforms.Resize(4)(torch.zeros(3, 8, 8)).shape)').stdout
    assert 'torch.Size([3, 4, 4])' in out
    python('import mmwsss, mmpretrain.models')


def test_torchvision_is_left_alone_where_it_works(monkeypatch):
    monkeypatch.setattr(compat, '_declare', lambda schema: pytest.fail(f'declared {schema}'))
    assert 'torchvision' in sys.modules
    assert compat.declare_torchvision_schemas() is False, 'a second call finds a working import'


class FakeTorchvision:
    """An import hook: torchvision fails until the named operators are declared."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def find_spec(self, name, path=None, target=None):
        if name == 'torchvision':
            if self.errors:
                raise self.errors.pop(0)
            import importlib.machinery
            return importlib.machinery.ModuleSpec(name, self)
        return None

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        pass


def missing(name):
    return RuntimeError(f'operator torchvision::{name} does not exist')


@pytest.fixture
def fake_torchvision(monkeypatch):
    """Return a function that puts a failing torchvision first, and collects what is declared."""
    declared = []

    def fake(*errors):
        monkeypatch.delitem(sys.modules, 'torchvision', raising=False)
        monkeypatch.setattr(sys, 'meta_path', [FakeTorchvision(*errors), *sys.meta_path])
        monkeypatch.setattr(compat, '_declare', declared.append)
        return declared

    yield fake
    sys.modules.pop('torchvision', None)


def test_only_the_missing_schemas_are_declared(fake_torchvision):
    declared = fake_torchvision(missing('qnms'), missing('nms'))
    assert compat.declare_torchvision_schemas() is True
    assert [schema.split('(')[0] for schema in declared] == ['qnms', 'nms']


@pytest.mark.parametrize('error', [missing('roi_align'), RuntimeError('no CUDA'), ImportError('libpng')])
def test_other_failures_of_torchvision_are_not_hidden(fake_torchvision, error):
    declared = fake_torchvision(error)
    with pytest.raises(type(error), match=str(error)):
        compat.declare_torchvision_schemas()
    assert declared == []


def test_a_schema_that_does_not_help_is_not_tried_again(fake_torchvision):
    declared = fake_torchvision(missing('nms'), missing('nms'))
    with pytest.raises(RuntimeError, match='nms does not exist'):
        compat.declare_torchvision_schemas()
    assert len(declared) == 1


@pytest.fixture
def training_state(tmp_path):
    """Write what mmengine saves of a run beside the weights."""
    hub = MessageHub('test_compat')
    for step in range(3):
        hub.update_scalar('train/loss', 0.5 * step)
        hub.update_scalar('train/lr', np.float32(0.1))
    hub.update_info('iter', np.int64(3))
    path = tmp_path / 'iter_3.pth'
    torch.save(dict(message_hub=hub.state_dict(), meta=dict(seed=1)), path)
    return path


@pytest.fixture
def strict_torch(monkeypatch):
    """Skip where torch unpickles anything by default, and forget what a test allowed."""
    if not hasattr(torch.serialization, 'get_safe_globals'):
        pytest.skip('this torch has no list of safe classes')
    if compat._release(torch.__version__) < (2, 6):
        pytest.skip('this torch unpickles anything by default')
    monkeypatch.delenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', raising=False)
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


def test_training_state_needs_the_list(strict_torch, training_state):
    with pytest.raises(pickle.UnpicklingError, match='Weights only load failed'):
        torch.load(training_state)
    assert compat.allow_checkpoint_globals(reads=lambda content: False) is True
    state = torch.load(training_state)['message_hub']
    assert state['log_scalars']['train/loss'].mean() == pytest.approx(0.5)
    assert state['log_scalars']['train/loss'].statistics('max') == 1.0
    assert state['runtime_info']['iter'] == 3


def test_list_also_covers_numpy_1_names(strict_torch):
    compat.allow_checkpoint_globals(reads=lambda content: False)
    named = {entry[1] for entry in torch.serialization.get_safe_globals() if isinstance(entry, tuple)}
    assert {'numpy.core.multiarray.scalar', 'numpy._core.multiarray._reconstruct'} <= named


class Reach:
    """Pickles as ``getattr(owner, name)``."""

    def __init__(self, owner, name):
        self.call = getattr, (owner, name)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(('owner', 'name'), [(HistoryBuffer, '__init__'), (HistoryBuffer, '__globals__'),
                                             (np.ndarray, 'tofile'), (HistoryBuffer, '_statistics_methods')])
def test_the_list_reaches_nothing_else(strict_torch, tmp_path, owner, name):
    compat.allow_checkpoint_globals(reads=lambda content: False)
    path = tmp_path / 'bad.pth'
    torch.save(dict(state=Reach(owner, name)), path)
    with pytest.raises(pickle.UnpicklingError, match=r'refused to look up|Weights only load failed'):
        torch.load(path)


def test_other_classes_stay_refused(strict_torch, tmp_path):
    import argparse
    compat.allow_checkpoint_globals(reads=lambda content: False)
    torch.save(dict(args=argparse.Namespace(lr=1)), tmp_path / 'args.pth')
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'args.pth')


def test_nothing_is_listed_where_loading_works(strict_torch):
    assert compat.allow_checkpoint_globals(reads=lambda content: True) is False
    assert torch.serialization.get_safe_globals() == []


def test_second_call_lists_nothing(strict_torch, monkeypatch):
    """With an mmengine that leaves loading to torch, as the original family's does."""
    from mmengine.runner import checkpoint
    monkeypatch.setattr(checkpoint, 'load_from_local',
                        lambda filename, map_location: torch.load(filename, map_location))
    assert compat.allow_checkpoint_globals() is True
    assert compat.allow_checkpoint_globals() is False


def test_the_probe_is_a_real_attempt(monkeypatch):
    assert compat.mmengine_reads(dict(weight=torch.zeros(2))) is True

    def no_disk():
        raise OSError('read-only file system')

    monkeypatch.setattr('tempfile.TemporaryDirectory', no_disk)
    assert compat.mmengine_reads({}) is False


def test_a_run_can_be_resumed(tmp_path):
    """End to end, with whatever mmengine is installed."""
    from mmengine.config import Config
    from mmengine.runner import Runner

    from .helpers import tiny_runner_cfg, write_voc_folder
    cfg = tiny_runner_cfg(write_voc_folder(tmp_path / 'data'), tmp_path / 'work')
    Runner.from_cfg(Config(dict(cfg, experiment_name='first'))).train()
    cfg['train_cfg'] = dict(cfg['train_cfg'], max_iters=3)
    runner = Runner.from_cfg(Config(dict(cfg, resume=True, experiment_name='second')))
    runner.train()
    assert runner.iter == 3
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 3
