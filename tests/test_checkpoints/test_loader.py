"""Reading checkpoint files: what is read, by either way of unpickling, and what is refused."""

import argparse
import collections
import io
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import Runner

from mmwsss.checkpoints import CheckpointError, loader, read_checkpoint, weights_of, write_checkpoint

from ..helpers import tiny_runner_cfg, write_voc_folder


@pytest.fixture(params=['torch', 'own'])
def unpickler(request, monkeypatch):
    """Unpickle by torch's list of safe classes, and by the unpickler for a torch without one."""
    if request.param == 'own':
        monkeypatch.setattr(loader, '_torch_takes_names', lambda: False)
    elif not loader._torch_takes_names():
        pytest.skip('this torch cannot be told safe classes by name')


def training_state(path, numpy_package='', **options):
    """Write what mmengine saves of a run beside the weights."""
    hub = MessageHub(f'test_loader_{path.name}')
    for step in range(3):
        hub.update_scalar('train/loss', 0.5 * step)
        hub.update_scalar('train/lr', np.float32(0.1))
    hub.update_info('iter', np.int64(3))
    content = dict(message_hub=hub.state_dict(), meta=dict(seed=1, iter=3, names={'a'}),
                   optimizer=dict(state={0: dict(step=torch.tensor(3.))}),
                   state_dict=collections.OrderedDict(w=torch.arange(3.), n=torch.tensor(2)))
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize('zipped', [True, False])
def test_training_state_is_read(unpickler, tmp_path, zipped):
    found = read_checkpoint(training_state(tmp_path / 'a.pth', _use_new_zipfile_serialization=zipped))
    scalars = found['message_hub']['log_scalars']
    assert scalars['train/loss'].mean() == pytest.approx(0.5)
    assert scalars['train/loss'].statistics('max') == 1.0
    assert found['message_hub']['runtime_info']['iter'] == 3
    assert found['state_dict']['w'].tolist() == [0, 1, 2]
    assert found['meta']['names'] == {'a'}


@pytest.mark.parametrize(('old', 'new'), [(b'numpy._core', b'numpy.core'), (b'numpy.core', b'numpy._core')])
def test_names_of_every_numpy_are_known(unpickler, tmp_path, old, new):
    path = training_state(tmp_path / 'a.pth')
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / 'b.pth', 'w') as archive:
        for name, content in entries.items():
            archive.writestr(name, content.replace(old + b'.multiarray', new + b'.multiarray'))
    assert read_checkpoint(tmp_path / 'b.pth')['message_hub']['log_scalars']['train/loss'].mean() == 0.5


def test_weights_of_every_kind_are_read(unpickler, tmp_path):
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4)).half()
    state = model.state_dict()
    state.update(b=torch.zeros(2, dtype=torch.bool), c=torch.zeros(2, dtype=torch.bfloat16),
                 p=torch.nn.Parameter(torch.ones(2)), e=torch.zeros(0), t=torch.arange(6).view(2, 3).t())
    torch.save(state, tmp_path / 'a.pth')
    found = read_checkpoint(tmp_path / 'a.pth')
    assert list(found) == list(state)
    assert all(torch.equal(found[key], state[key]) and found[key].dtype == state[key].dtype for key in state)
    assert found._metadata == state._metadata, 'versions of modules travel with the weights'


def test_a_run_can_be_resumed(unpickler, tmp_path):
    """End to end, with whatever mmengine is installed."""
    cfg = tiny_runner_cfg(write_voc_folder(tmp_path / 'data'), tmp_path / 'work')
    Runner.from_cfg(Config(dict(cfg, experiment_name=f'first_{tmp_path.name}'))).train()
    cfg['train_cfg'] = dict(cfg['train_cfg'], max_iters=3)
    runner = Runner.from_cfg(Config(dict(cfg, resume=True, experiment_name=f'second_{tmp_path.name}')))
    runner.train()
    assert runner.iter == 3
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 3


class Calls:
    """Pickles into a call of a function."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize(('function', 'args', 'name'), [
    (os.system, ('touch {target}', ), r'(posix|nt)\.system'),
    (eval, ('open({target!r}, "w")', ), r'\beval'),
    (exec, ('open({target!r}, "w")', ), r'\bexec'),
    (pathlib.Path.touch, ('{target}', ), r'pathlib\S*\.Path'),
    (open, ('{target}', 'w'), r'\bopen'),
    (pickle.loads, (b'', ), r'_?pickle\.loads'),
    (torch.load, ('{target}', ), r'torch\.\S*load'),
    (np.save, ('{target}', 1), r'numpy\S*\.save'),
    (argparse.Namespace, (), r'argparse\.Namespace'),
    (collections.defaultdict, (list, ), r'collections\.defaultdict|\blist'),
    (getattr, (HistoryBuffer, '__init__'), 'HistoryBuffer'),
    (getattr, (HistoryBuffer, '__globals__'), 'HistoryBuffer'),
    (getattr, (HistoryBuffer, '_statistics_methods'), 'HistoryBuffer'),
    (getattr, (np.ndarray, 'tofile'), 'ndarray'),
])
def test_what_would_run_code_is_refused_by_name(unpickler, tmp_path, function, args, name, zipped):
    target = tmp_path / 'ran'
    args = tuple(arg.format(target=str(target)) if isinstance(arg, str) else arg for arg in args)
    path = tmp_path / 'bad.pth'
    torch.save(dict(state_dict=dict(w=torch.zeros(1)), meta=Calls(function, *args)), path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=rf'(?s)bad\.pth is refused.*{name}.*MMWSSS_UNSAFE_LOAD') as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value)
    assert not target.exists()


@pytest.mark.parametrize('protocol', [0, 2, 4, 5])
def test_plain_pickles_are_refused(unpickler, tmp_path, protocol):
    path = tmp_path / 'bad.pth'
    path.write_bytes(pickle.dumps(dict(a=Calls(os.system, f'touch {tmp_path}/ran')), protocol=protocol))
    with pytest.raises(CheckpointError, match=r'bad\.pth'):
        read_checkpoint(path)
    assert not (tmp_path / 'ran').exists()


def test_attributes_of_classes_cannot_be_set(unpickler, tmp_path):
    """A pickle may build the state of objects, and must not reach the classes themselves."""
    buffer = io.BytesIO()
    buffer.write(b'\x80\x02}X\x04\x00\x00\x00metacmmengine.logging.history_buffer\nHistoryBuffer\n'
                 b'N}X\x04\x00\x00\x00meanK\x01s\x86bs.')
    state = io.BytesIO()
    torch.save(dict(meta=1), state)
    with zipfile.ZipFile(state) as good, zipfile.ZipFile(tmp_path / 'bad.pth', 'w') as bad:
        for name in good.namelist():
            bad.writestr(name, buffer.getvalue() if name.endswith('data.pkl') else good.read(name))
    before = HistoryBuffer.mean
    with pytest.raises(CheckpointError, match=r'bad\.pth'):
        read_checkpoint(tmp_path / 'bad.pth')
    assert HistoryBuffer.mean is before


def test_programs_of_torchscript_are_refused(unpickler, tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / 'program.pth'))
    with pytest.raises(CheckpointError, match='TorchScript program'):
        read_checkpoint(tmp_path / 'program.pth')


def test_the_variable_lets_a_trusted_file_through(unpickler, tmp_path, monkeypatch):
    path = tmp_path / 'trusted.pth'
    torch.save(dict(args=argparse.Namespace(lr=1), state_dict=dict(w=torch.ones(1))), path)
    monkeypatch.setenv('MMWSSS_UNSAFE_LOAD', '0')
    with pytest.raises(CheckpointError, match=r'argparse\.Namespace'):
        read_checkpoint(path)
    monkeypatch.setenv('MMWSSS_UNSAFE_LOAD', '1')
    with pytest.warns(UserWarning, match=r'trusted\.pth is loaded although it may run code') as caught:
        assert read_checkpoint(path)['args'].lr == 1
    assert len(caught) == 1


def test_no_class_stays_allowed_afterwards(tmp_path):
    if not hasattr(torch.serialization, 'get_safe_globals'):
        pytest.skip('this torch has no list of safe classes')
    before = set(map(str, torch.serialization.get_safe_globals()))
    read_checkpoint(training_state(tmp_path / 'a.pth'))
    assert set(map(str, torch.serialization.get_safe_globals())) == before


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


DAMAGE = {
    'truncated': (lambda path: cut(path, 900), 'its end is missing'),
    'first bytes only': (lambda path: cut(path, 3), 'damaged'),
    'empty': (lambda path: path.write_bytes(b''), 'is empty'),
    'web page': (lambda path: path.write_text('\n<!DOCTYPE html><html>not found</html>'), 'is a web page'),
    'pointer': (lambda path: path.write_text('version https://git-lfs.github.com/spec/v1\noid sha256:0'), 'Git LFS'),
    'text': (lambda path: path.write_text('hello'), 'damaged'),
    'noise': (lambda path: path.write_bytes(bytes(range(256)) * 9), 'damaged'),
    'picture': (lambda path: path.write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(99)), 'damaged'),
    'other archive': (lambda path: zipfile.ZipFile(path, 'w').writestr('readme', 'x'), 'damaged'),
    'list': (lambda path: torch.save([1], path), 'holds a list, not a dictionary of weights'),
    'tensor': (lambda path: torch.save(torch.ones(3), path), 'holds a Tensor'),
    'number': (lambda path: torch.save(3, path), 'holds a int'),
}


@pytest.mark.parametrize('kind', DAMAGE)
def test_damaged_files_are_named(unpickler, tmp_path, kind):
    path = training_state(tmp_path / 'model.pth')
    damage, message = DAMAGE[kind]
    damage(path)
    with pytest.raises(CheckpointError, match=rf'checkpoint \S*model\.pth .*{message}') as caught:
        read_checkpoint(path)
    assert len(str(caught.value)) < 700


def test_folders_pipes_and_missing_files_are_named(tmp_path):
    with pytest.raises(CheckpointError, match='is a folder'):
        read_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match=r'missing\.pth does not exist'):
        read_checkpoint(tmp_path / 'missing.pth')
    if hasattr(os, 'mkfifo'):
        os.mkfifo(tmp_path / 'pipe.pth')
        with pytest.raises(CheckpointError, match='is not a regular file'):
            read_checkpoint(tmp_path / 'pipe.pth')


@pytest.mark.parametrize('wrap', [lambda w: w, lambda w: dict(state_dict=w), lambda w: dict(model=w, epoch=1)])
@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_not_finite_are_refused(tmp_path, wrap, value, dtype):
    weights = dict(fine=torch.ones(3), broken=torch.tensor([0, value, value], dtype=dtype), later=torch.tensor(value))
    torch.save(wrap(weights), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match=r'a\.pth has weights that are not finite: broken has 2 .* of 3'):
        read_checkpoint(tmp_path / 'a.pth')


def test_masks_of_attention_may_be_minus_infinite(tmp_path):
    torch.save({'attn_mask': torch.tensor([0, float('-inf')])}, tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['attn_mask'][0] == 0
    torch.save({'attn_mask': torch.tensor([0, float('nan')])}, tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='attn_mask'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_written_checkpoints_are_read_back(tmp_path, suffix):
    weights = dict(a=torch.arange(6.).view(2, 3).t(), b=torch.tensor(3), c=torch.ones(2, dtype=torch.float16))
    weights['shared'] = weights['c']
    meta = dict(method='toco', note='é "quoted"')
    for name in ('one', 'two'):
        write_checkpoint(tmp_path / f'{name}{suffix}', weights, meta)
    assert (tmp_path / f'one{suffix}').read_bytes() == (tmp_path / f'two{suffix}').read_bytes()
    found = read_checkpoint(tmp_path / f'one{suffix}')
    assert found['meta'] == meta
    assert all(torch.equal(weights_of(found)[key], weights[key]) for key in weights)


def test_damaged_safetensors_are_named(tmp_path):
    path = tmp_path / 'a.safetensors'
    write_checkpoint(path, dict(a=torch.ones(9)), {})
    cut(path, 60)
    with pytest.raises(CheckpointError, match=r'a\.safetensors is damaged'):
        read_checkpoint(path)
    torch.save(dict(a=Calls(os.system, f'touch {tmp_path}/ran')), path)
    with pytest.raises(CheckpointError, match=r'a\.safetensors'):
        read_checkpoint(path)
    assert not (tmp_path / 'ran').exists()


def test_safetensors_of_other_programs_are_read(tmp_path):
    from safetensors.torch import save_file
    save_file(dict(w=torch.ones(2)), tmp_path / 'a.safetensors')
    found = read_checkpoint(tmp_path / 'a.safetensors')
    assert weights_of(found)['w'].tolist() == [1, 1]
    assert found['meta'] == {}
