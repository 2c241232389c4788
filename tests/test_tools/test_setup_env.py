"""tools/setup_env.sh, with a Python that only notes what it is asked to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ..helpers import REPO

FAKE_PYTHON = """#!/usr/bin/env bash
echo "$*" >> "{log}"
case "$*" in
    *"-m venv"*) mkdir -p "${{@: -1}}/bin" && cp "$0" "${{@: -1}}/bin/python" ;;
    *"python-{{sys"*) echo torch-2.9.1-python-3.11 ;;
    *torch.__version__*) echo torch==2.9.1 ;;
    {fails}
    *" install "*) echo "WARNING: old"; echo "Collecting something"; echo "  Downloading something.whl (1.2 MB)" ;;
    *" wheel -q "*) out="$*"; out=${{out##*-w }}; mkdir -p "${{out% *}}"; touch "${{out% *}}/mmcv-2.1.0-cp311.whl" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path):
    """Copy what the script reads."""
    root = tmp_path / 'checkout'
    for part in ('tools', 'requirements'):
        shutil.copytree(REPO / part, root / part, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('requirements.txt', 'setup.py', 'pyproject.toml'):
        shutil.copy(REPO / name, root)
    return root


def set_up(checkout, *fails, flags=(), **variables):
    """Run the script; commands that match one of ``fails`` fail. Returns status, calls and what was said."""
    log = checkout / 'calls.txt'
    log.write_text('')
    fake = checkout / 'python'
    cases = [f'{pattern}) echo "ERROR: no such thing"; exit 1 ;;' for pattern in fails]
    fake.write_text(FAKE_PYTHON.format(log=log, fails='\n'.join(cases)))
    fake.chmod(0o755)
    for python in checkout.glob('.venv*/bin/python'):
        shutil.copy(fake, python)
    own = ('MMWSSS_VENV', 'MMWSSS_STACK', 'MMWSSS_MMCV', 'TORCH_INDEX', 'TORCH')
    env = {name: value for name, value in os.environ.items() if name not in own}
    env.update(MMWSSS_PYTHON=str(fake), MMWSSS_WHEELS=str(checkout / 'wheels'), **variables)
    result = subprocess.run(['bash', str(checkout / 'tools/setup_env.sh'), *flags], env=env, text=True, check=False,
                            capture_output=True, cwd='/')
    if result.returncode == 0:
        assert Path(result.stdout.strip()).is_dir(), 'the path of the environment, and nothing else'
    return result.returncode, log.read_text().splitlines(), result.stderr


PIP_INSTALL = 'install --no-compile --progress-bar off '


def installs(calls):
    return [call.split(PIP_INSTALL)[1] for call in calls if PIP_INSTALL in call]


def test_torch_comes_first_and_the_package_last(checkout):
    status, calls, said = set_up(checkout)
    assert status == 0, said
    needed = '-r requirements/mminstall.txt -r requirements/runtime.txt -r requirements/tests.txt'
    pins = '-c requirements/constraints.txt'
    assert installs(calls) == ['torch==2.13.0', f'{needed} {pins}', f'-r requirements/optional.txt {pins}',
                               '--no-deps -e .']
    assert 'mmwsss.check_stack()' in calls[-2]
    assert calls[-1] == '-', 'imports what the tools import'


def test_what_pip_says_is_in_a_file_and_errors_are_shown(checkout):
    _, calls, said = set_up(checkout, '*" pydensecrf2 "*', '*optional.txt*')
    log = (checkout / '.venv/setup.log').read_text()
    assert log.count('Downloading something.whl') == len(installs(calls)) - 2
    assert log.count('ERROR: no such thing') == said.count('[setup] ERROR: no such thing') == 2
    assert 'Collecting' not in said
    assert 'WARNING' not in said
    assert 'about 2 GB' in said
    assert len(said.splitlines()) < 15


def test_second_run_does_nothing_until_requirements_change(checkout):
    set_up(checkout)
    status, calls, said = set_up(checkout)
    assert (status, calls) == (0, [])
    assert 'is up to date' in said
    with (checkout / 'requirements/runtime.txt').open('a') as file:
        file.write('tqdm\n')
    _, calls, _ = set_up(checkout)
    assert len(installs(calls)) == 4
    assert not [call for call in calls if '-m venv' in call], 'the environment is kept'


def test_other_versions_where_the_pinned_ones_do_not_exist(checkout):
    status, calls, said = set_up(checkout, '*"torch==2.13.0"*', '*"import torch"')
    assert status == 0, said
    assert 'taking the newest that fit' in said
    assert installs(calls)[:2] == ['torch==2.13.0', 'torch>=2.4']
    assert installs(calls)[2].endswith('tests.txt torch==2.9.1')
    assert not any('-c requirements' in call for call in installs(calls)[2:])


def test_an_installed_torch_stays(checkout):
    _, calls, _ = set_up(checkout, '*"mminstall.txt"*"-c "*')
    assert 'torch>=2.4' not in installs(calls)
    assert installs(calls)[2].endswith('torch==2.9.1')


def test_optional_packages_may_fail_one_by_one(checkout):
    status, calls, said = set_up(checkout, '*optional.txt*', '*" pydensecrf2 "*')
    assert status == 0, said
    assert 'pydensecrf2 could not be installed' in said
    assert 'pycocotools -c requirements/constraints.txt' in installs(calls)
    assert 'pycocotools could not' not in said


def test_a_failed_set_up_is_not_taken_for_done(checkout):
    status, calls, _ = set_up(checkout, '*"--no-deps -e ."*')
    assert status != 0
    status, calls, _ = set_up(checkout)
    assert status == 0
    assert installs(calls)[-1] == '--no-deps -e .'


def test_an_unusable_python_is_refused(checkout):
    status, calls, said = set_up(checkout, '*ensurepip*')
    assert status != 0
    assert installs(calls) == []
    assert 'no Python 3.10 or newer' in said
    assert 'MMWSSS_PYTHON=' in said


def test_a_torch_that_was_asked_for_is_kept(checkout):
    _, calls, _ = set_up(checkout, TORCH='2.9.1')
    assert installs(calls)[0] == 'torch==2.9.1'
    assert installs(calls)[1].endswith('tests.txt torch==2.9.1')
    assert not any('-c requirements' in call for call in installs(calls))


@pytest.mark.parametrize('how', [dict(flags=['--original']), dict(MMWSSS_STACK='original')])
def test_the_original_family_has_an_environment_of_its_own(checkout, how):
    status, calls, said = set_up(checkout, **how)
    assert status == 0, said
    assert (checkout / '.venv-original/bin/python').is_file()
    assert not (checkout / '.venv').exists()
    pins = '-c requirements/constraints_original.txt'
    assert installs(calls)[0] == 'torch==2.13.0'
    assert installs(calls)[1].endswith(f'mminstall.txt -r requirements/runtime.txt -r requirements/tests.txt {pins}')
    asked = (checkout / '.venv-original/mminstall.txt').read_text().splitlines()
    assert 'mmsegmentation>=1.2.0,<1.3' in asked
    assert not [line for line in asked if line.startswith('mmcv')]


def test_mmcv_is_compiled_once_for_each_torch(checkout):
    _, calls, said = set_up(checkout, flags=['--original'])
    builds = [call for call in calls if ' wheel -q ' in call]
    assert len(builds) == 1
    assert '--no-build-isolation' in builds[0]
    assert builds[0].endswith('mmcv==2.1.0')
    assert 'compiled mmcv in 0 minutes' in said
    wheel = checkout / 'wheels/torch-2.9.1-python-3.11/mmcv-2.1.0-cp311.whl'
    assert str(wheel) in installs(calls)
    shutil.rmtree(checkout / '.venv-original')
    _, calls, _ = set_up(checkout, flags=['--original'])
    assert not [call for call in calls if ' wheel -q ' in call]
    assert str(wheel) in installs(calls)


def test_mmcv_lite_needs_no_compiler(checkout):
    status, calls, _ = set_up(checkout, flags=['--original'], MMWSSS_MMCV='lite')
    assert status == 0
    assert 'mmcv-lite==2.1.0' in installs(calls)
    assert not [call for call in calls if ' wheel -q ' in call]


def test_a_failed_compilation_is_told(checkout):
    status, calls, said = set_up(checkout, '*"mmcv==2.1.0"*', flags=['--original'])
    assert status != 0
    assert said.count('mmcv does not compile here') == 1
    assert 'MMWSSS_MMCV=lite' in said


@pytest.mark.parametrize('how', [dict(flags=['--orginal']), dict(MMWSSS_STACK='forks')])
def test_unknown_flags_and_stacks_are_refused(checkout, how):
    status, calls, said = set_up(checkout, **how)
    assert (status, calls) == (2, [])
    assert 'original' in said
