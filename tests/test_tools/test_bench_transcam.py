"""tools/analysis_tools/bench_transcam.py: that all arrangements give the same, not how fast they are."""

import json

from ..helpers import call_tool

CONFIG = 'configs/transcam/transcam_conformer-micro_sample.py'


def test_rows_of_both_precisions(capsys, tmp_path):
    call_tool('tools/analysis_tools/bench_transcam.py', CONFIG, '--size', 48, 64, '--repeat', 1, '--amp', 'bf16',
              '--json', tmp_path / 'rows.json')
    assert '48 x 64, cpu' in capsys.readouterr().out
    report = json.loads((tmp_path / 'rows.json').read_text())
    assert report['name'] == 'transcam'
    single, low = report['rows']
    for row in (single, low):
        assert row['ratio'] == row['baseline_seconds'][0] / row['seconds'][0]
    assert 0 < single['equal_to'] < 1e-3
    assert single['equal_to'] < low['equal_to'] < .2
