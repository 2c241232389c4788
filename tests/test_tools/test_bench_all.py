"""tools/analysis_tools/bench_all.py: what is run, kept and shown, with scripts that measure nothing."""

import json

import pytest

from mmwsss.utils.errors import UserError

from ..helpers import load_tool

REPORT = dict(name='b', versions=dict(torch='2'), rows=[dict(
    what='maps', against='plain', seconds=[1., 2., 9.], baseline_seconds=[4., 5., 3.], equal_to=1e-6)])
WRITES = 'import json, sys\njson.dump({report!r}, open(sys.argv[sys.argv.index("--json") + 1], "w"))\n'


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """The tool with three benchmarks, of which b works, and a page."""
    tool = load_tool('tools/analysis_tools/bench_all.py')
    scripts = dict(a='raise SystemExit(3)', b=WRITES.format(report=REPORT), c=WRITES.format(report=dict(results=[])))
    for name, text in scripts.items():
        (tmp_path / f'bench_{name}.py').write_text(text)
    monkeypatch.setattr(tool, 'benchmarks', lambda: {name: str(tmp_path / f'bench_{name}.py') for name in scripts})
    (tmp_path / 'page.md').write_text('\n'.join(['before', *tool.MARKERS, 'after', '']))
    return tool


def run(tool, tmp_path, monkeypatch, *arguments):
    monkeypatch.setattr('sys.argv', ['bench_all.py', '--json', str(tmp_path / 'kept.json'), '--page',
                                     str(tmp_path / 'page.md'), *arguments])
    return tool.main()


def kept(tmp_path):
    return json.loads((tmp_path / 'kept.json').read_text())


def test_numbers_are_kept_and_failures_named(tool, tmp_path, monkeypatch, capfd):
    assert run(tool, tmp_path, monkeypatch) == 1
    assert list(kept(tmp_path)) == ['b']
    row, = kept(tmp_path)['b']['rows']
    assert row == {**REPORT['rows'][0], 'ratio': 2}
    page = (tmp_path / 'page.md').read_text()
    assert page.startswith('before\n')
    assert page.endswith('\nafter\n')
    assert f'| maps | plain | 2.00 |  |  | 1e-06 | `python {tmp_path}/bench_b.py` |' in page
    errors = capfd.readouterr().err
    assert 'bench_a.py ended with exit code 3' in errors
    assert 'bench_c.py has no list of "rows" in its JSON' in errors


def test_the_ratio_that_was_kept_is_the_one_before(tool, tmp_path, monkeypatch):
    earlier = dict(b=dict(command='x', rows=[dict(what='maps', against='plain', ratio=1.5)]),
                   z=dict(command='y', rows=[dict(what='other', against='plain', ratio=12.34, memory_ratio=3)]))
    (tmp_path / 'kept.json').write_text(json.dumps(earlier))
    assert run(tool, tmp_path, monkeypatch, '--only', 'b') == 0
    assert list(kept(tmp_path)) == ['b', 'z']
    assert kept(tmp_path)['b']['rows'][0]['before'] == 1.5
    page = (tmp_path / 'page.md').read_text()
    assert '| maps | plain | 2.00 | 1.50 |  |' in page
    assert '| other | plain | 12.3 |  | 3.00 | not compared | `y` |' in page


def test_a_stopped_run_goes_on(tool, tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(tool, 'measure', lambda script, arguments: ran.append(script[-4]) or tool.checked(REPORT))
    assert run(tool, tmp_path, monkeypatch, '--start', 'b') == 0
    assert ran == ['b', 'c']


def test_quick_writes_nothing(tool, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr('sys.argv', ['bench_all.py', '--quick', '--only', 'b'])
    written = {path: path.stat().st_mtime_ns for path in (tool.KEPT, tool.PAGE)}
    assert tool.main() == 0
    assert '| maps | plain | 2.00 |' in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_a_page_without_markers(tool, tmp_path, monkeypatch):
    (tmp_path / 'page.md').write_text('nothing\n')
    with pytest.raises(UserError, match=r'page\.md: needs the lines <!-- benchmarks: begin -->'):
        run(tool, tmp_path, monkeypatch, '--only', 'b')


@pytest.mark.parametrize(('row', 'message'), [
    (dict(against='plain', ratio=1), 'without "what" or "against"'),
    (dict(what='maps', against='plain', seconds=[1]), 'without "ratio" and "memory_ratio"'),
])
def test_rows_that_cannot_be_shown(tool, row, message):
    with pytest.raises(UserError, match=message):
        tool.checked(dict(rows=[row]))


def test_the_table_of_the_page_is_that_of_the_kept_numbers():
    tool = load_tool('tools/analysis_tools/bench_all.py')
    table = tool.PAGE.read_text().partition(tool.MARKERS[0])[2].partition(tool.MARKERS[1])[0]
    assert table.strip().split('\n') == tool.table_lines(tool.read_kept(str(tool.KEPT)))


def test_every_benchmark_has_a_quick_form():
    tool = load_tool('tools/analysis_tools/bench_all.py')
    assert set(tool.benchmarks()) == set(tool.QUICK)
