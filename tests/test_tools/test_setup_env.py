"""tools/setup_env.sh, with a Python that only notes what it is asked to do."""

import os
import shutil
import subprocess

import pytest

from ..helpers import REPO

FAKE_PYTHON = """#!/usr/bin/env bash
echo "$*" >> "{log}"
case "$*" in
    *"-m venv"*) mkdir -p "${{@: -1}}/bin" && cp "$0" "${{@: -1}}/bin/python" ;;
    *torch.__version__*) echo torch==2.9.1 ;;
    {fails}
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


def set_up(checkout, *fails):
    """Run the script; commands that match one of ``fails`` fail. Returns status, calls and what was said."""
    log = checkout / 'calls.txt'
    log.write_text('')
    fake = checkout / 'python'
    fake.write_text(FAKE_PYTHON.format(log=log, fails='\n'.join(f'{pattern}) exit 1 ;;' for pattern in fails)))
    fake.chmod(0o755)
    if (checkout / '.venv/bin/python').exists():
        shutil.copy(fake, checkout / '.venv/bin/python')
    env = {**os.environ, 'MMWSSS_PYTHON': str(fake)}
    for name in ('MMWSSS_VENV', 'TORCH_INDEX'):
        env.pop(name, None)
    result = subprocess.run(['bash', str(checkout / 'tools/setup_env.sh')], env=env, text=True, check=False,
                            capture_output=True, cwd='/')
    return result.returncode, log.read_text().splitlines(), result.stderr


def installs(calls):
    return [call.split('install -q ')[1] for call in calls if 'install -q' in call]


def test_torch_comes_first_and_the_package_last(checkout):
    status, calls, said = set_up(checkout)
    assert status == 0, said
    needed = '-r requirements/mminstall.txt -r requirements/runtime.txt -r requirements/tests.txt'
    pins = '-c requirements/constraints.txt'
    assert installs(calls) == ['torch==2.13.0', f'{needed} {pins}', f'-r requirements/optional.txt {pins}',
                               '--no-deps -e .']
    assert 'mmwsss.check_stack()' in calls[-1]


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
