"""tools/analysis_tools/bench_affinity.py: that both arrangements give the same, not how fast they are."""

import pytest
import torch

from ..helpers import call_tool, load_tool

SCRIPT = 'tools/analysis_tools/bench_affinity.py'
ARGS = ('--batch', 2, '--channels', 8, '--grid', 16, '--size', 60, 90, '--rounds', 1, '--threads', 1)


@pytest.fixture(autouse=True)
def same_threads():
    """Give other tests the threads back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_ratios_are_printed(capsys):
    call_tool(SCRIPT, *ARGS)
    lines = [line for line in capsys.readouterr().out.splitlines() if 'mmwsss' in line]
    assert len(lines) == 3, 'the loss and two walks'
    assert all(float(line.split()[-2]) < 1e-4 for line in lines)


def test_a_difference_is_an_error(monkeypatch):
    tool = load_tool(SCRIPT)
    monkeypatch.setattr(tool, 'measure', lambda *args: dict(
        rounds=[[1], [1]], seconds=[1, 1], mib=[1, 1], difference=1.))
    monkeypatch.setattr('sys.argv', [SCRIPT, *map(str, ARGS)])
    with pytest.raises(SystemExit, match='the results differ by'):
        tool.main()
