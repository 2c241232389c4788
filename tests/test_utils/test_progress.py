"""The line of progress, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from mmwsss.utils.progress import ProgressLine


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=120)


def test_a_line_now_and_then_and_one_at_the_end(capsys):
    with ProgressLine('training', 10, completed=2, seconds=0) as line:
        line.update(6, note='loss 0.5')
        line.advance(4)
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == 'training: 6/10, 0:00:00 left, loss 0.5'
    assert second == 'training: 10/10, loss 0.5'
    assert last == 'training: 10/10 in 0:00:00, loss 0.5'


def test_only_the_last_line_of_a_short_task(capsys):
    notes = []

    def note():
        notes.append('x')
        return 'loss 0.5'

    with ProgressLine('training', 1000) as line:
        for step in range(1000):
            line.update(step + 1, note)
    assert capsys.readouterr().out == 'training: 1000/1000 in 0:00:00, loss 0.5\n'
    assert len(notes) == 1, 'the note costs something only where it is shown'


def test_an_unknown_number_of_steps(capsys):
    with ProgressLine('camera', None) as line:
        line.advance()
    assert capsys.readouterr().out == 'camera: 1 in 0:00:00\n'


def test_an_error_ends_the_line_and_is_raised(capsys):
    def stop():
        with ProgressLine('training', 10) as line:
            line.advance(3)
            raise KeyError

    with pytest.raises(KeyError):
        stop()
    assert capsys.readouterr().out == 'training: 3/10 in 0:00:00\n'


def test_other_processes_show_nothing(capsys):
    with ProgressLine('training', 2, enabled=False, seconds=0) as line:
        line.advance()
    assert capsys.readouterr().out == ''


def test_a_terminal_shows_a_bar_and_only_one_at_a_time(capsys):
    outer, inner = terminal(), terminal()
    with ProgressLine('training', 10, console=outer) as line:
        with ProgressLine('pseudo labels', 2, console=inner) as nested:
            nested.advance(2)
        line.update(10, note='loss 0.5')
    assert '10/10' in outer.file.getvalue()
    assert 'loss 0.5' in outer.file.getvalue()
    assert inner.file.getvalue() == ''
    with ProgressLine('another', 3, console=inner):
        pass
    assert '0/3' in inner.file.getvalue()
