"""tools/analysis_tools/bench_crf.py: that it labels and counts, not how fast it is."""

import pytest

from ..helpers import call_tool

pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')


def test_rates_by_workers(capsys):
    call_tool('tools/analysis_tools/bench_crf.py', '--size', 48, 72, '--images', 2, '--workers', 0, '--crf-alphas', 1)
    line, = (line for line in capsys.readouterr().out.splitlines() if line.count('│') == 4)
    workers, rate, ratio = (float(part) for part in line.strip('│ ').split('│'))
    assert (workers, ratio) == (0, 1)
    assert rate > 0
