"""What a recipe shows of the output of its commands."""

import io

from rich.console import Console

from mmwsss.recipes import stage_output
from mmwsss.recipes.stage_output import StageOutput


def output(terminal=False):
    return StageOutput('cam', Console(file=io.StringIO(), force_terminal=terminal, width=60))


def test_a_short_command_shows_nothing_and_its_end_is_kept():
    shown = output()
    with shown:
        for number in range(30):
            shown.write(f'line {number}\n\nhalf')
            shown.write(' and half\n')
        shown.write('no end')
    assert shown.console.file.getvalue() == ''
    lines = shown.last_lines().splitlines()
    assert len(lines) == 21
    assert lines[-3:] == ['line 29', 'half and half', 'no end']


def test_the_newest_line_is_shown_now_and_then(monkeypatch):
    monkeypatch.setattr(stage_output, '_SECONDS', -1)
    shown = output()
    with shown:
        shown.write('first\nsecond [1/3]\n')
        shown.write('third\n')
    assert shown.console.file.getvalue() == 'cam: second [1/3]\ncam: third\n'


def test_a_terminal_shows_one_line_that_changes():
    shown = output(terminal=True)
    with shown:
        shown.write('training: 3/10 [loss]\n' + 'x' * 200 + '\n')
    assert 'cam: xxx' in shown.console.file.getvalue()
    assert 'x' * 61 not in shown.console.file.getvalue(), 'it does not wrap'
