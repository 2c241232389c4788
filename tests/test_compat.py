"""What makes imports work beside missing compiled operators, of torchvision and of mmcv, and inheriting configs."""

import importlib
import subprocess
import sys
import types

import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from mmwsss import compat
from mmwsss.compat import MissingOperators, stand_in_for_mmcv_operators


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
    out = python('import mmwsss, mmpretrain.models\n'
                 'import torchvision, torch\n'
                 'from torchvision import transforms\n'
                 'print(transforms.Resize(4)(torch.zeros(3, 8, 8)).shape)').stdout
    assert 'torch.Size([3, 4, 4])' in out


def test_messages_that_ask_for_nothing_are_not_printed():
    shown = python('import warnings, mmwsss, mmseg.datasets, mmpretrain.datasets, mmcv.cnn\n'
                   'from mmengine.utils.dl_utils import set_multi_processing\n'
                   'from mmengine.logging import print_log\n'
                   'set_multi_processing(mp_start_method="fork", opencv_num_threads=0, distributed=True)\n'
                   'warnings.warn("Only use \'alpha\' for pillow backend.")\n'
                   'warnings.warn("a real one")\n'
                   'print_log("an answer")', OMP_NUM_THREADS='1')
    assert shown.stdout == 'an answer\n'
    assert [line for line in shown.stderr.splitlines() if 'Warning' in line] == ['<string>:6: UserWarning: a real one']


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


@pytest.mark.parametrize(('installed', 'expected'), [
    ({'onedl-mmsegmentation', 'onedl-mmpretrain'}, ('onedl-mmsegmentation', 'onedl-mmpretrain')),
    ({'mmsegmentation', 'mmpretrain'}, ('mmsegmentation', 'mmpretrain')),
    (set(), ('mmsegmentation', 'mmpretrain')),
])
def test_configs_are_looked_up_in_the_installed_family(monkeypatch, installed, expected):
    table = dict(MODULE2PACKAGE, mmseg='mmsegmentation', mmpretrain='mmpretrain')
    monkeypatch.setattr('mmengine.config.utils.MODULE2PACKAGE', table)
    monkeypatch.setattr(compat, '_is_installed', installed.__contains__)
    compat.name_config_packages()
    assert (table['mmseg'], table['mmpretrain'], table['mmwsss']) == (*expected, 'mmwsss')


def test_a_config_inherits_from_one_of_mmseg(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'mmseg::_base_/models/fcn_r50-d8.py'")
    assert Config.fromfile(tmp_path / 'mine.py').model.decode_head.type == 'FCNHead'


@pytest.fixture
def import_system(monkeypatch):
    """Let the test change how ``mmcv._ext`` is found."""
    others = [finder for finder in sys.meta_path if getattr(finder, '__module__', '') != compat.__name__]
    monkeypatch.setattr(sys, 'meta_path', others)
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    yield
    sys.modules.pop('mmcv._ext', None)


@pytest.fixture
def mmcv_lite(tmp_path, monkeypatch, import_system):
    """Put an mmcv without compiled operators first, and return its folder."""
    monkeypatch.delitem(sys.modules, 'mmcv', raising=False)
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv/__init__.py').write_text('')
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / 'mmcv'
    sys.modules.pop('mmcv', None)


def test_the_stand_in_has_every_operator_and_each_raises(mmcv_lite):
    assert stand_in_for_mmcv_operators('2.1.0') is True
    operators = importlib.import_module('mmcv._ext')
    assert isinstance(operators, MissingOperators)
    assert 'stand-in of mmwsss' in operators.__spec__.origin
    assert hasattr(operators, 'ms_deform_attn_forward')
    with pytest.raises(NotImplementedError, match=r"'nms' of mmcv is not available.*setup_env\.sh --original"):
        operators.nms(None, iou_threshold=.5)
    assert not hasattr(operators, '__path__')


def test_real_operators_take_precedence(mmcv_lite):
    (mmcv_lite / '_ext.py').write_text('def nms(): return 7\n')
    assert stand_in_for_mmcv_operators('2.1.0') is True
    assert importlib.import_module('mmcv._ext').nms() == 7


@pytest.mark.parametrize('version', ['2.2.0', '2.3.6', 'unknown'])
def test_the_maintained_mmcv_is_left_alone(mmcv_lite, version):
    assert stand_in_for_mmcv_operators(version) is False
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('mmcv._ext')


def test_the_stand_in_is_registered_once(mmcv_lite):
    for _ in range(2):
        stand_in_for_mmcv_operators('2.1.0')
    assert sum(getattr(finder, '__module__', '') == compat.__name__ for finder in sys.meta_path) == 1


def test_other_missing_modules_stay_missing(mmcv_lite):
    stand_in_for_mmcv_operators('2.1.0')
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('mmcv.no_such_module')
