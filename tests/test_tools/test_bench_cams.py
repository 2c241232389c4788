"""tools/analysis_tools/bench_cams.py: that both arrangements give the same, not how fast they are."""

import pytest
import torch

from ..helpers import call_tool, load_tool

SCRIPT = 'tools/analysis_tools/bench_cams.py'
ARGS = ('--quick', '--rounds', 1, '--threads', 1)


@pytest.fixture(autouse=True)
def same_threads():
    """Give other tests the threads back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_ratios_are_printed(capsys):
    call_tool(SCRIPT, *ARGS, '--present', 3)
    printed = capsys.readouterr().out
    assert 'mctformer-v2_vit-micro_sample, 72 x 90' in printed
    line, = (line for line in printed.splitlines() if 'mmwsss' in line)
    assert line.count('x') == 3
    assert float(line.split()[-2]) < 1e-4


def test_a_difference_is_an_error(monkeypatch):
    tool = load_tool(SCRIPT)
    model, image, labels = tool.example(*next(iter(tool.QUICK.items())), 2)
    ours = tool.our_cams(model, image, labels)
    assert ours.shape == (2, 72, 90)
    model.cam_head.attention_layers = 1
    assert abs(tool.plain_cams(model, image, labels) - ours).max() > 1e-3
    monkeypatch.setattr(tool, 'compare', lambda *args: dict(seconds=torch.ones(2, 2), mib=[1, 1], difference=1.))
    monkeypatch.setattr('sys.argv', [SCRIPT, *map(str, ARGS)])
    with pytest.raises(SystemExit, match='the maps differ'):
        tool.main()
