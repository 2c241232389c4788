"""What the quiet console shows of a log and of warnings, and what it leaves to the log file."""

import argparse
import logging
import warnings

import pytest
from mmengine.logging import MMLogger, print_log

from mmwsss.utils.cli import add_verbose_argument
from mmwsss.utils.console import (
    VERBOSE_VARIABLE,
    describe_processes,
    echo,
    is_quiet,
    is_verbose,
    notify,
    print_header,
    quiet_console,
    show_tables,
)
from mmwsss.utils.errors import run_tool

RANKS = ('RANK', 'SLURM_PROCID', 'OMPI_COMM_WORLD_RANK')


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in (VERBOSE_VARIABLE, 'WORLD_SIZE', *RANKS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VERBOSE_VARIABLE, '0')  # so that what a test sets is restored


@pytest.fixture
def new_log(request, tmp_path):
    """Return a function that makes a new logger the current one, and returns a function that reads its file.

    A logger prints to what is the standard output when it is made, so that a test makes it.
    """
    path, name = tmp_path / 'run.log', request.node.name

    def make():
        MMLogger.get_instance(name, log_file=str(path))
        return path.read_text

    yield make
    MMLogger._instance_dict.pop(name)


def warn(message):
    print_log(message, logger='current', level=logging.WARNING)


def test_the_log_stays_in_its_file(new_log, capsys):
    log = new_log()
    with quiet_console():
        print_log('Config: a = 1', logger='current')
        notify('8 classes instead of 20')
        assert is_quiet()
    print_log('afterwards', logger='current')
    assert 'Config: a = 1' in log()
    assert '8 classes instead of 20' in log()
    output = capsys.readouterr().out
    assert output.startswith('8 classes instead of 20\n')
    assert 'Config' not in output
    assert output.endswith(' - afterwards\n'), 'as mmengine prints it'
    assert not is_quiet()


def test_warnings_are_shown_once_and_needless_ones_not_at_all(new_log, capsys):
    log = new_log()
    needless = 'backbone.pos_embed is skipped since its requires_grad=False'
    with quiet_console():
        for _ in range(2):
            warn('the disk is nearly full')
            warn(needless)
    assert capsys.readouterr().out == 'warning: the disk is nearly full\n'
    assert needless in log()


def test_errors_are_shown_as_mmengine_prints_them(new_log, capsys):
    new_log()
    with quiet_console():
        print_log('the loss is NaN', logger='current', level=logging.ERROR)
    line, = capsys.readouterr().out.splitlines()
    assert line.endswith(' - the loss is NaN')
    assert 'ERROR' in line


def test_a_logger_that_hides_warnings_still_does(capsys):
    MMLogger.get_instance('silent', log_level='ERROR')
    with quiet_console():
        warn('nobody asked')
    MMLogger._instance_dict.pop('silent')
    assert capsys.readouterr().out == ''


def test_tables_of_results_are_shown_where_they_are_wanted(new_log, capsys):
    new_log()
    table = '\n+-------+-----+\n| Class | IoU |\n+-------+-----+'
    with quiet_console():
        print_log(table, logger='current')
        show_tables()
        print_log(table, logger='current')
        print_log('Iter(test) [3/3]', logger='current')
    assert capsys.readouterr().out == table.lstrip('\n') + '\n'


def test_warnings_of_python_go_into_the_log(new_log, capsys):
    log = new_log()
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        with quiet_console():
            for _ in range(2):
                warnings.warn('the checkpoint may run code', stacklevel=1)
            warnings.warn('use something else', FutureWarning, stacklevel=1)
    captured = capsys.readouterr()
    line, = captured.out.splitlines()
    assert line.startswith('warning: UserWarning: the checkpoint may run code (')
    assert captured.err == ''
    assert 'FutureWarning: use something else' in log()


@pytest.mark.parametrize('name', RANKS)
def test_other_processes_say_nothing_but_errors(new_log, capsys, monkeypatch, name):
    new_log()
    monkeypatch.setenv(name, '1')
    with quiet_console():
        notify('8 classes instead of 20')
        warn('the disk is nearly full')
        echo('a line')
        print_log('the loss is NaN', logger='current', level=logging.ERROR)
    line, = capsys.readouterr().out.splitlines()
    assert line.endswith('the loss is NaN')


def test_verbose_shows_the_log(new_log, capsys):
    log = new_log()
    parser = argparse.ArgumentParser()
    add_verbose_argument(parser)

    def main():
        print_log('before', logger='current')
        parser.parse_args(['-v'])
        print_log('Config: a = 1', logger='current')
        assert is_verbose()
        assert not is_quiet()

    run_tool(main)
    line, = capsys.readouterr().out.splitlines()
    assert line.endswith(' - Config: a = 1')
    assert 'before' in log()


def test_a_header_leaves_out_what_is_not_known(capsys, monkeypatch):
    monkeypatch.setenv('SLURM_NTASKS', '2')
    print_header('training a.py', data='photos', output=None, device=describe_processes('cpu', 'slurm'))
    assert capsys.readouterr().out == 'training a.py\n  data       photos\n  device     cpu, 2 processes\n'
