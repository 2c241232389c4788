"""SIGINT and SIGTERM: at once, or after what is in progress; one line and an exit code."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from mmwsss.utils import signals
from mmwsss.utils.errors import UserError, run_tool
from mmwsss.utils.signals import (
    Stopped,
    catch_signals,
    finish_first,
    raise_if_stopped,
    requested_signal,
    shield_worker,
    until_stopped,
)

CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(autouse=True)
def listening():
    """Shells let background processes ignore SIGINT; these tests listen to it."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(('number', 'code'), CODES)
def test_a_signal_ends_a_tool_with_one_line(number, code, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['/somewhere/tool.py'])
    with pytest.raises(SystemExit) as caught:
        run_tool(lambda: send(number), go_on='Add --resume to continue')
    assert caught.value.code == code
    assert capsys.readouterr().err == (f'tool.py: stopped by {number.name}; what is finished is kept. Add --resume to '
                                       'continue\n')
    assert requested_signal() is None


def test_other_processes_of_a_distributed_run_are_silent(capsys, monkeypatch):
    monkeypatch.setenv('RANK', '1')
    with pytest.raises(SystemExit):
        run_tool(lambda: send(signal.SIGTERM))
    assert capsys.readouterr().err == ''


def test_handlers_are_as_before():
    before = [signal.getsignal(number) for number, _ in CODES]
    with pytest.raises(SystemExit):
        run_tool(lambda: send(signal.SIGTERM))
    run_tool(lambda: None)
    assert [signal.getsignal(number) for number, _ in CODES] == before


def test_exit_codes_of_main():
    with pytest.raises(SystemExit) as caught:
        run_tool(lambda: 7)
    assert caught.value.code == 7
    assert run_tool(lambda: 0) is None


def test_sigusr1_prints_where_the_process_is_and_goes_on():
    code = ('import os, signal\nfrom mmwsss.utils.errors import run_tool\n'
            'def here():\n    os.kill(os.getpid(), signal.SIGUSR1)\n    print("goes on")\nrun_tool(here)')
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, 'goes on\n')
    assert 'in here' in done.stderr


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with catch_signals():
        send(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_what_is_in_progress_is_finished():
    done = []

    def work():
        with catch_signals(), finish_first():
            for item in until_stopped(range(5)):
                if item == 1:
                    send(signal.SIGTERM)
                done.append(item)
            done.append('end')
            raise_if_stopped()

    with pytest.raises(Stopped, match='stopped by SIGTERM') as caught:
        work()
    assert done == [0, 1, 'end']
    assert caught.value.code == 143


def test_the_second_signal_does_not_wait():
    done = []

    def work():
        with catch_signals(), finish_first():
            send(signal.SIGINT)
            done.append('first')
            send(signal.SIGTERM)
            done.append('second')

    with pytest.raises(Stopped, match='SIGINT'):
        work()
    assert done == ['first']


def test_nothing_is_asked_without_a_signal():
    with catch_signals(), finish_first():
        assert list(until_stopped('abc')) == ['a', 'b', 'c']
        raise_if_stopped()


def test_an_error_while_stopping_is_part_of_the_line(capsys):
    def main():
        with finish_first():
            send(signal.SIGTERM)
            raise UserError('the disk\nis full')

    with pytest.raises(SystemExit) as caught:
        run_tool(main)
    assert caught.value.code == 143
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'stopped by SIGTERM (while it finished: UserError: the disk is full)' in error


def test_a_library_that_swallows_the_stop_does_not_hide_it(capsys):
    def main():
        try:
            send(signal.SIGTERM)
        except:  # noqa: E722  # as mmengine does where it formats configs
            raise SyntaxError('a very long text') from None

    with pytest.raises(SystemExit) as caught:
        run_tool(main)
    assert caught.value.code == 143
    assert 'stopped by SIGTERM; what' in capsys.readouterr().err


def test_processes_of_a_dead_launcher_end():
    launcher = subprocess.Popen([sys.executable, '-c', 'pass'])
    launcher.wait()
    script = ('import importlib.util, sys, time\n'
              f'spec = importlib.util.spec_from_file_location("signals", {signals.__file__!r})\n'
              'module = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(module)\n'
              'module.end_with_launcher()\ntime.sleep(60)')
    environment = {**os.environ, 'TORCHELASTIC_RUN_ID': 'run', 'MMWSSS_LAUNCHER': str(launcher.pid)}
    assert subprocess.run([sys.executable, '-c', script], env=environment, check=False, timeout=50).returncode == -9


@pytest.mark.skipif(not hasattr(os, 'register_at_fork'), reason='the system cannot fork')
def test_sigterm_ends_a_forked_worker_that_runs_no_python_code():
    context = multiprocessing.get_context('fork')
    lock = context.Lock()
    with catch_signals(), lock:
        with context.Pool(1) as pool:
            assert pool.apply(signal.getsignal, [signal.SIGTERM]) == signal.SIG_DFL
        worker = context.Process(target=lock.acquire)
        worker.start()
        worker.terminate()
        worker.join(30)
        assert worker.exitcode == -signal.SIGTERM


def shielded(connection):
    shield_worker()
    connection.send('ready')
    time.sleep(60)


@pytest.mark.skipif(not hasattr(signal, 'sigwaitinfo'), reason='the system does not tell who sent a signal')
@pytest.mark.parametrize('method', ['fork', 'spawn'])
def test_workers_obey_their_parent_alone(method, monkeypatch):
    monkeypatch.setenv('OMP_NUM_THREADS', '1')  # a spawned worker has no threads before it is shielded
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    worker = context.Process(target=shielded, args=(theirs, ))
    worker.start()
    assert ours.recv() == 'ready'
    os.system(f'kill -INT {worker.pid}; kill -TERM {worker.pid}')  # by another process
    worker.join(0.5)
    assert worker.is_alive()
    worker.terminate()
    worker.join(30)
    assert worker.exitcode == 143
