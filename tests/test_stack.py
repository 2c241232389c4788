"""The check of what is installed, with faked versions."""

import re
import subprocess
import sys

import pytest

from mmwsss.compat import FAMILIES, INSTALL_LINES, check_stack, installed_distributions, installed_version

ORIGINAL = FAMILIES['original']
MM_PACKAGES = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain')
TESTED = {
    'maintained': {'torch': '2.13.0+cpu', 'torchvision': '0.28.0', 'mmengine': '0.10.12', 'mmcv': '2.3.6',
                   'mmseg': '1.4.2', 'mmpretrain': '1.3.6', 'numpy': '2.4.6'},
    'original': {'torch': '2.1.2', 'torchvision': '0.16.2', 'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmseg': '1.2.2',
                 'mmpretrain': '1.2.0', 'numpy': '1.26.4'},
}


def distributions(family, **others):
    """Return a function that names one distribution of a family for each package."""
    table = {name: [FAMILIES[family][name].distributions[0]] for name in MM_PACKAGES}
    return {**table, **others}.__getitem__


def check(family, others=None, **versions):
    check_stack({**TESTED[family], **versions}.get, distributions(family, **(others or {})))


def message(family='maintained', others=None, **versions):
    with pytest.raises(ImportError) as caught:
        check(family, others, **versions)
    return str(caught.value)


def test_this_machine_passes():
    check_stack()


@pytest.mark.parametrize('family', FAMILIES)
def test_tested_versions_pass(family):
    check(family)
    check_stack(TESTED[family].get, lambda name: []), 'where only versions tell the family'


@pytest.mark.parametrize('name', ORIGINAL)
@pytest.mark.parametrize('family', FAMILIES)
def test_missing_package_is_named(family, name):
    text = message(family, **{name: None})
    assert f'{name} is not installed, {FAMILIES[family][name].minimum}' in text
    assert text.count('is not installed') == 1


@pytest.mark.parametrize(('version', 'fits'), [
    ('2.0.1', True), ('2.0.1rc4', True), ('2.1.0', True), ('2.1', True), ('2.1.99+cu118', True), ('unknown', True),
    ('2.0.0', False), ('2.0', False), ('1.7.2', False), ('2', False), ('2.0.0+cu118', False),
    ('2.2.0', False), ('2.2', False), ('3', False),
])
def test_versions_compare_by_number(version, fits):
    assert (ORIGINAL['mmcv'].minimum, ORIGINAL['mmcv'].below) == ('2.0.1', '2.2.0')
    if fits:
        check('original', mmcv=version)
    else:
        assert f'mmcv {version} is installed, 2.0.1 or newer, but older than 2.2.0, is needed' in message(
            'original', mmcv=version)


@pytest.mark.parametrize(('family', 'name', 'version'), [
    ('maintained', 'mmcv', '2.1.0'), ('maintained', 'mmseg', '1.2.2'), ('maintained', 'mmseg', '2.0'),
    ('original', 'mmseg', '1.3.0'), ('original', 'mmengine', '0.9.1'), ('original', 'mmpretrain', '1.0.2'),
])
def test_bounds_belong_to_the_family(family, name, version):
    assert f'{name} {version} is installed' in message(family, **{name: version})


@pytest.mark.parametrize('name', MM_PACKAGES)
def test_a_mixture_of_families_is_refused(name):
    others = {name: list(ORIGINAL[name].distributions[:1])}
    text = message('maintained', others)
    assert 'distributions of both families are installed' in text
    assert f'{others[name][0]}' in text
    assert 'pip uninstall -y' in text


@pytest.mark.parametrize(('family', 'mmcv', 'kind'), [
    ('maintained', ['onedl-mmcv', 'mmcv'], 'distributions of both families'),
    ('original', ['mmcv', 'mmcv-lite'], 'several distributions of the same package'),
])
def test_distributions_that_overwrite_each_other_are_refused(family, mmcv, kind):
    text = message(family, {'mmcv': mmcv})
    assert f'{kind} are installed' in text
    assert ' '.join(mmcv) in text


@pytest.mark.parametrize(('torch', 'numpy', 'fits'), [
    ('2.1.2', '1.26.4', True), ('2.1.2+cu121', '2.0.0', False), ('2.2.2', '2.4.6', False), ('2.3.0', '2.0.2', True),
    ('2.13.0', '1.26.4', True), ('2.1.2', None, True)])
def test_numpy_must_fit_torch(torch, numpy, fits):
    if fits:
        check('original', torch=torch, numpy=numpy)
    else:
        assert f'numpy {numpy} is installed, but torch {torch} was compiled for NumPy 1' in message(
            'original', torch=torch, numpy=numpy)


def test_one_message_names_all_problems_and_both_families():
    text = message(mmcv='1.0', mmpretrain=None, torch='1.13.1+cpu')
    for part in ('mmcv 1.0 is', 'mmpretrain is not', 'torch 1.13.1+cpu is'):
        assert part in text
    lines = [line for line in text.splitlines() if re.match(r' +(maintained|original): ', line)]
    assert [line.split(': ')[1].strip() for line in lines] == list(INSTALL_LINES.values())
    assert 'setup_env.sh --original' in text


def test_version_is_found_without_import():
    code = ('import sys, importlib.util as u\n'
            f'spec = u.spec_from_file_location("compat", {sys.modules["mmwsss.compat"].__file__!r})\n'
            'compat = u.module_from_spec(spec); spec.loader.exec_module(compat)\n'
            'compat.check_stack()\n'
            'print([name for name in compat.FAMILIES["original"] if name in sys.modules])')
    assert subprocess.check_output([sys.executable, '-c', code], text=True).strip() == '[]'


def test_found_version_is_the_package_s_own():
    import mmcv
    import mmengine
    import mmseg
    import torch
    for module in (torch, mmengine, mmcv, mmseg):
        assert installed_version(module.__name__) == str(module.__version__)


def test_found_distributions_are_of_one_family():
    found = [name for package in MM_PACKAGES for name in installed_distributions(package)]
    assert len(found) == 4
    assert len({name.startswith('onedl-') for name in found}) == 1


def test_missing_and_unversioned_packages(tmp_path, monkeypatch):
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
