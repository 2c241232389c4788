"""What an installation carries, and what the requirement files say."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from mmwsss import __version__
from mmwsss.compat import FAMILIES, INSTALL_LINES, check_stack

from .helpers import REPO

MIM_PARTS = ('configs', 'tools', 'model-index.yml')
needs_setuptools = pytest.mark.skipif(
    importlib.util.find_spec('setuptools') is None, reason='setuptools is not installed')


@pytest.fixture
def checkout(tmp_path):
    """Copy what a build needs, without what lies around."""
    root = tmp_path / 'checkout'
    skip = shutil.ignore_patterns('__pycache__', '.mim', '*.egg-info')
    for part in ('mmwsss', 'configs', 'tools', 'requirements'):
        shutil.copytree(REPO / part, root / part, ignore=skip)
    for path in REPO.iterdir():
        if path.is_file():
            shutil.copy(path, root)
    return root


@pytest.fixture
def setup_module(checkout, monkeypatch):
    monkeypatch.syspath_prepend(checkout)
    spec = importlib.util.spec_from_file_location('mmwsss_setup', checkout / 'setup.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build(checkout, what):
    """Build through the interface that pip uses; return the path of what was built."""
    code = f'import setuptools.build_meta as b; print("BUILT", b.build_{what}("out"))'
    (checkout / 'out').mkdir(exist_ok=True)
    out = subprocess.run([sys.executable, '-c', code], cwd=checkout, text=True, capture_output=True, check=True).stdout
    return checkout / 'out' / re.search(r'^BUILT (\S+)$', out, re.MULTILINE).group(1)


@needs_setuptools
def test_wheel_carries_configs_tools_and_assets(checkout):
    asset = checkout / 'mmwsss/checkpoints/assets/deep/some.pth'
    asset.parent.mkdir(parents=True)
    asset.write_bytes(b'weights')
    names = zipfile.ZipFile(build(checkout, 'wheel')).namelist()
    configs = {str(path.relative_to(checkout)) for path in (checkout / 'configs').rglob('*.py')}
    assert configs
    assert {f'mmwsss/.mim/{config}' for config in configs} <= set(names)
    for name in ('mmwsss/.mim/model-index.yml', 'mmwsss/.mim/tools/train.py', 'mmwsss/.mim/tools/dist_train.sh',
                 'mmwsss/checkpoints/assets/deep/some.pth', 'mmwsss/models/utils/cam.py'):
        assert name in names
    assert not [name for name in names if name.startswith(('tests/', 'configs/', 'tools/')) or 'pycache' in name]
    assert not (checkout / 'mmwsss/.mim').exists(), 'the source tree stays clean'


@needs_setuptools
def test_wheel_s_metadata_name_no_mm_package_but_torch(checkout):
    wheel = zipfile.ZipFile(build(checkout, 'wheel'))
    text = wheel.read(f'mmwsss-{__version__}.dist-info/METADATA').decode()
    required = re.findall(r'^Requires-Dist: ([^;\n]+)$', text, re.MULTILINE)
    assert 'torch>=2.1' in required
    assert not [line for line in required if re.match('(onedl-)?mm', line)]
    assert re.findall(r'^Requires-Dist: onedl-mmcv\S*; extra == "onedl"$', text, re.MULTILINE)
    assert re.findall(r'^Requires-Dist: mmcv\S*; extra == "openmmlab"$', text, re.MULTILINE)
    assert set(re.findall(r'^Provides-Extra: (\S+)$', text, re.MULTILINE)) >= {'onedl', 'openmmlab', 'tests', 'all'}


@needs_setuptools
def test_wheel_is_used_from_outside_the_checkout(checkout, tmp_path):
    installed, elsewhere = tmp_path / 'installed', tmp_path / 'elsewhere'
    with zipfile.ZipFile(build(checkout, 'wheel')) as wheel:
        wheel.extractall(installed)
    assert (installed / f'mmwsss-{__version__}.dist-info/entry_points.txt').read_text().split('\n')[:2] == [
        '[console_scripts]', 'mmwsss = mmwsss.__main__:main']
    elsewhere.mkdir()
    (elsewhere / 'mine.py').write_text("_base_ = 'mmwsss::cam/cam_vit-micro_sample.py'\nmine = 'added'\n")
    result = subprocess.run([sys.executable, '-m', 'mmwsss', 'print-config', 'mine.py'], cwd=elsewhere, text=True,
                            env={**os.environ, 'PYTHONPATH': str(installed)}, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "mine = 'added'" in result.stdout
    assert 'CAMClassifier' in result.stdout, 'the config is inherited from the wheel'


@needs_setuptools
def test_editable_install_links_the_parts(checkout):
    build(checkout, 'editable')
    for part in MIM_PARTS:
        link = checkout / 'mmwsss/.mim' / part
        assert link.is_symlink()
        assert link.resolve() == (checkout / part).resolve()
    moved = checkout.rename(checkout.with_name('moved'))
    assert (moved / 'mmwsss/.mim/configs/_base_').is_dir(), 'links are relative'


@needs_setuptools
def test_source_distribution_builds_the_same_wheel(checkout, tmp_path):
    shutil.unpack_archive(build(checkout, 'sdist'), tmp_path / 'unpacked')
    direct = zipfile.ZipFile(build(checkout, 'wheel')).namelist()
    again = zipfile.ZipFile(build(tmp_path / f'unpacked/mmwsss-{__version__}', 'wheel')).namelist()
    assert sorted(again) == sorted(direct)


@needs_setuptools
def test_parts_are_copied_where_links_are_not_supported(setup_module, checkout, monkeypatch):
    def no_links(*args, **kwargs):
        raise OSError('no links here')

    monkeypatch.setattr(Path, 'symlink_to', no_links)
    setup_module.carry_mim_parts(checkout / 'mmwsss', setup_module.link_part)
    config = checkout / 'mmwsss/.mim/configs/_base_/default_runtime.py'
    assert config.is_file()
    assert not config.is_symlink()


@needs_setuptools
def test_links_and_copies_replace_each_other(setup_module, checkout):
    parts = checkout / 'mmwsss/.mim'
    for carry, linked in ((setup_module.link_part, True), (setup_module.copy_part, False)) * 2:
        setup_module.carry_mim_parts(checkout / 'mmwsss', carry)
        assert [(parts / part).is_symlink() for part in MIM_PARTS] == [linked] * 3
        assert (checkout / 'tools/train.py').is_file(), 'replacing a link leaves its target alone'


@needs_setuptools
def test_all_ways_of_installing_are_covered(setup_module):
    assert {'build_py', 'develop', 'editable_wheel'} <= set(setup_module.commands())


def lines(name):
    text = (REPO / f'requirements/{name}.txt').read_text()
    return [line for line in text.splitlines() if line and not line.startswith('#')]


def names(name):
    return {re.split('[<>=]', line)[0].lower() for line in lines(name)}


STACKS = {'maintained': ('constraints', 'mminstall'), 'original': ('constraints_original', 'mminstall_original')}


def pins(constraints):
    return dict(line.split('==') for line in lines(constraints))


@pytest.mark.parametrize('family', STACKS)
def test_constraints_pin_everything_that_is_required(family):
    constraints, mminstall = STACKS[family]
    asked = names('runtime') | names(mminstall) | names('optional') | names('tests') | {'torch'}
    assert asked <= {name.lower() for name in pins(constraints)}


@pytest.mark.parametrize('family', STACKS)
def test_known_good_versions_pass_the_stack_check(family):
    pinned = pins(STACKS[family][0])
    versions = {name: pinned[requirement.distributions[0]] for name, requirement in FAMILIES[family].items()}
    check_stack({**versions, 'numpy': pinned['numpy']}.get,
                lambda name: list(FAMILIES[family][name].distributions[:1]))


@pytest.mark.parametrize('family', STACKS)
def test_bounds_of_the_check_and_of_the_files_agree(family):
    asked = dict(re.fullmatch(r'([\w-]+)(.*)', line).groups() for line in lines(STACKS[family][1]))
    for name in ('mmengine', 'mmcv', 'mmseg', 'mmpretrain'):
        requirement = FAMILIES[family][name]
        assert asked[requirement.distributions[0]] == f'>={requirement.minimum},<{requirement.below}'


def test_install_lines_of_the_check_name_tested_versions():
    pinned = {**pins('constraints_original'), 'mmcv-lite': pins('constraints_original')['mmcv']}
    exact = dict(re.findall(r'([\w-]+)==(\S+)', INSTALL_LINES['original']))
    assert len(exact) == 4
    assert exact.items() <= pinned.items()
    assert set(INSTALL_LINES['maintained'].split()[2:]) <= names('mminstall')


def test_requirements_name_existing_files():
    for line in (REPO / 'requirements.txt').read_text().splitlines():
        assert (REPO / line.split()[1]).is_file()


def test_model_index_lists_every_metafile():
    listed = yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
    assert sorted(listed) == sorted(str(path.relative_to(REPO)) for path in REPO.glob('configs/*/metafile.yml'))


def supported_pythons():
    """Return the releases of Python with which the table of the documentation says that some torch works."""
    text = (REPO / 'docs/get_started.md').read_text().partition('### Tested versions')[2].partition('\n## ')[0]
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines() if line[:3] == '| 2']
    assert rows
    return {python for _, python, *results in rows if any(result.startswith('works') for result in results)}


def test_every_place_names_the_same_pythons():
    setup = (REPO / 'setup.py').read_text()
    workflow = yaml.safe_load((REPO / '.github/workflows/ci.yml').read_text())
    tried = supported_pythons() | set(workflow['jobs']['run']['strategy']['matrix']['python'])
    assert set(re.findall(r"'Programming Language :: Python :: (3\.\d+)'", setup)) == tried
    oldest = re.search(r"python_requires='>=(3\.\d+)'", setup).group(1)
    assert f'target-version = "py{oldest.replace(".", "")}"' in (REPO / 'pyproject.toml').read_text()
    assert all(int(release[2:]) >= int(oldest[2:]) for release in tried)


def test_version_is_stated_once():
    citation = yaml.safe_load((REPO / 'CITATION.cff').read_text())
    assert citation['version'] == __version__
    assert citation['license'] == 'Apache-2.0'


def test_changelog_begins_with_this_version():
    versions = re.findall(r'^## \[([\d.]+)\]', (REPO / 'CHANGELOG.md').read_text(), re.MULTILINE)
    assert versions[0] == __version__


def test_commits_are_checked_by_the_linters_of_ci():
    hooks = yaml.safe_load((REPO / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
    ci = (REPO / '.ci/run').read_text()
    for hook in hooks:
        program, *arguments = hook['entry'].split()
        assert ' '.join(['step', hook['name'], f'"$VENV/bin/{program}"', *arguments]) in ci


def test_the_workflow_runs_each_part_of_ci():
    workflow = yaml.safe_load((REPO / '.github/workflows/ci.yml').read_text())['jobs']['run']
    parts = re.findall(r'^    (\w+)\) run_\1\b.*;;', (REPO / '.ci/run').read_text(), re.MULTILINE)
    assert set(workflow['strategy']['matrix']['family']) == set(parts) - {'slow'}
    assert 'bash .ci/run ${{ matrix.family }}' in [step.get('run') for step in workflow['steps']]
