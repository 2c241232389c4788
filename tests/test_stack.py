"""The check of what is installed, with faked versions."""

import subprocess
import sys

import pytest

from mmwsss.compat import REQUIREMENTS, check_stack, installed_version

NEW = dict.fromkeys(REQUIREMENTS, '99.0')


def message(**versions):
    with pytest.raises(ImportError) as caught:
        check_stack({**NEW, **versions}.get)
    return str(caught.value)


def test_this_machine_passes():
    check_stack()


@pytest.mark.parametrize('name', REQUIREMENTS)
def test_missing_package_is_named(name):
    text = message(**{name: None})
    assert f'{name} is not installed, {REQUIREMENTS[name].minimum}' in text
    assert text.count('is not installed') == 1


@pytest.mark.parametrize(('version', 'fits'), [
    ('2.0.1', True), ('2.0.1rc4', True), ('2.3.6', True), ('10', True), ('2.1', True), ('unknown', True),
    ('2.0.0', False), ('2.0', False), ('1.7.2', False), ('2', False), ('2.0.0+cu118', False),
])
def test_versions_compare_by_number(version, fits):
    assert REQUIREMENTS['mmcv'].minimum == '2.0.1'
    if fits:
        check_stack({**NEW, 'mmcv': version}.get)
    else:
        assert f'mmcv {version} is installed, 2.0.1 or newer is needed' in message(mmcv=version)


def test_one_message_names_all_problems_and_both_families():
    text = message(mmcv='1.0', mmpretrain=None, torch='1.13.1+cpu')
    for part in ('mmcv 1.0 is', 'mmpretrain is not', 'torch 1.13.1+cpu is'):
        assert part in text
    lines = [line for line in text.splitlines() if 'pip install' in line]
    assert len(lines) == 2
    for dist in ('mmengine', 'mmcv', 'mmsegmentation', 'mmpretrain'):
        assert f'onedl-{dist}' in lines[0]
        assert f'"{dist}>=' in lines[1]


def test_version_is_found_without_import():
    code = ('import sys, importlib.util as u\n'
            f'spec = u.spec_from_file_location("compat", {sys.modules["mmwsss.compat"].__file__!r})\n'
            'compat = u.module_from_spec(spec); spec.loader.exec_module(compat)\n'
            'compat.check_stack()\n'
            'print([name for name in compat.REQUIREMENTS if name in sys.modules])')
    assert subprocess.check_output([sys.executable, '-c', code], text=True).strip() == '[]'


def test_found_version_is_the_package_s_own():
    import mmcv
    import mmengine
    import mmseg
    import torch
    for module in (torch, mmengine, mmcv, mmseg):
        assert installed_version(module.__name__) == str(module.__version__)


def test_missing_and_unversioned_packages(tmp_path, monkeypatch):
    monkeypatch.setitem(REQUIREMENTS, 'some_package', REQUIREMENTS['mmcv']._replace(onedl='no-such', original='nope'))
    monkeypatch.syspath_prepend(tmp_path)
    assert installed_version('some_package') is None
    (tmp_path / 'some_package').mkdir()
    assert installed_version('some_package') is None, 'a folder without __init__.py is no package'
    (tmp_path / 'some_package/__init__.py').write_text('')
    assert installed_version('some_package') == 'unknown'
    (tmp_path / 'some_package/version.py').write_text("__version__ = '1.2.3'\n")
    assert installed_version('some_package') == '1.2.3'


def test_import_of_mmwsss_fails_with_this_message(tmp_path):
    (tmp_path / 'mmseg').mkdir()
    (tmp_path / 'mmseg/__init__.py').write_text('')
    (tmp_path / 'mmseg/version.py').write_text("__version__ = '0.30.0'\n")
    code = f'import sys; sys.path.insert(0, {str(tmp_path)!r}); import mmwsss'
    result = subprocess.run([sys.executable, '-c', code], text=True, capture_output=True, check=False)
    assert result.returncode != 0
    assert 'ImportError: mmwsss cannot start:\n  mmseg 0.30.0 is installed' in result.stderr
