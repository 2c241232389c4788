"""Tools in forks of a warm process find, print and end as in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from .fork_server import FOLDER, VARIABLE, warm_path
from .helpers import tool_environment

pytestmark = pytest.mark.skipif(not os.environ.get(VARIABLE), reason='there is no fork server')


def start(*arguments, **environment):
    """Start the probe as ``run_tool`` starts tools."""
    return subprocess.Popen([sys.executable, str(FOLDER / 'probe.py'), *arguments], text=True, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
                            env={**tool_environment(), 'PYTHONPATH': warm_path(), **environment})


def is_running(pid):
    """Return whether a process is there and no zombie."""
    try:
        with open(f'/proc/{pid}/stat', encoding='utf-8') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def assert_ended(*pids):
    deadline = time.monotonic() + 30
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


@pytest.mark.parametrize('code', [0, 3])
def test_arguments_streams_and_exit_code(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process = start('tell', str(code), 'ä b', MMWSSS_SOME='value')
    out, error = process.communicate('some input')
    assert json.loads(out) == dict(arguments=['tell', str(code), 'ä b'], folder=str(tmp_path), path=str(FOLDER),
                                   some='value', warm=True, parts=False, input='some input')
    assert error == 'on standard error\n'
    assert process.returncode == code


def test_other_variables_take_a_process_of_its_own():
    out, _ = start('tell', '0', TORCH_HOME='elsewhere').communicate('')
    assert json.loads(out)['warm'] is False


def test_an_error_is_shown():
    process = start('fail')
    _, error = process.communicate('')
    assert error.startswith('Traceback')
    assert error.endswith('ValueError: with a traceback\n')
    assert process.returncode == 1


def test_a_signal_ends_both():
    process = start('die')
    process.communicate('')
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(('action', 'code', 'printed'), [('obey', 143, 'got SIGTERM\n'), ('wait', -15, '')])
def test_signals_are_passed_on(action, code, printed):
    process = start(action)
    process.stdin.close()
    _, child = map(int, process.stdout.readline().split())
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == code
    os.kill(child, signal.SIGKILL)  # left alone, as by a process of its own
    assert process.stdout.read() == printed


def test_a_kill_ends_what_was_started():
    process = start('wait')
    process.stdin.close()
    pids = list(map(int, process.stdout.readline().split()))
    assert all(map(is_running, pids))
    process.kill()
    assert process.wait(30) == -signal.SIGKILL
    assert_ended(*pids)
