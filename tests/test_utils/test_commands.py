"""Command lines of tools, and running them."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest

from mmwsss.utils.commands import cfg_options_arguments, default_num_processes, run_command


@pytest.mark.parametrize(('value', 'argument'), [
    ([0, 1], 'k=[0,1]'), (None, 'k=None'), (True, 'k=True'), (['a', [1, 2]], 'k=[a,[1,2]]'), ('x', 'k=x')])
def test_cfg_options(value, argument):
    assert cfg_options_arguments({'k': value}) == ['--cfg-options', argument]


def test_no_cfg_options_and_dictionaries():
    assert cfg_options_arguments({}) == []
    with pytest.raises(ValueError, match='k is a dictionary; set its entries by dotted keys'):
        cfg_options_arguments({'k': {'a': 1}})


def test_number_of_processes(monkeypatch):
    assert default_num_processes(4) == 4
    with pytest.raises(ValueError, match='--gpus must be 1 or more, got 0'):
        default_num_processes(0)
    monkeypatch.setattr('mmwsss.utils.commands.get_device', lambda: 'cpu')
    monkeypatch.setattr('os.cpu_count', lambda: 8)
    assert default_num_processes() == 2
    monkeypatch.setattr('os.cpu_count', lambda: 1)
    assert default_num_processes() == 1
    monkeypatch.setattr('mmwsss.utils.commands.get_device', lambda: 'cuda')
    assert default_num_processes() == 1


def test_exit_codes_are_returned():
    assert run_command(['bash', '-c', 'exit 3']) == 3
    assert run_command(['bash', '-c', 'kill -9 $$']) == -9


def test_output_is_appended_to_a_file_and_copied(tmp_path):
    log, stream = tmp_path / 'log', io.StringIO()
    log.write_text('earlier\n')
    assert run_command(['bash', '-c', 'echo out; echo error >&2'], log, stream) == 0
    assert log.read_text() == 'earlier\nout\nerror\n'
    assert stream.getvalue() == 'out\nerror\n'


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f'/proc/{pid}/stat') as file:
        return file.read().split()[2] != 'Z'


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.mark.skipif(not os.path.exists('/proc/self/stat'), reason='reads the state of processes from /proc')
def test_an_interrupted_command_ends_with_all_it_started(tmp_path):
    pid = tmp_path / 'pid'
    script = ('from mmwsss.utils.commands import run_command\nimport signal, sys\n'
              'signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n'
              f'run_command(["bash", "-c", "sleep 100 & echo $! > {pid}.tmp; mv {pid}.tmp {pid}; wait"])')
    with subprocess.Popen([sys.executable, '-c', script]) as process:
        assert wait_until(pid.exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 143
    assert wait_until(lambda: not is_running(int(pid.read_text())), 10)
