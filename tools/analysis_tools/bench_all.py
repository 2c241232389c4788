#!/usr/bin/env python
"""Run every benchmark of this folder, keep the numbers in one file, and write the table of docs/benchmarks.md.

    bench_all.py                 all of them
    bench_all.py --only toco     one of them; the others keep their numbers
    bench_all.py --start par     go on with this one after a run that was stopped
    bench_all.py --quick         each on a small input, to see whether it works; nothing is written

Each benchmark is a process of its own. Its numbers are kept as soon as it has ended; the ratios that were kept before
become those of the column "before". A benchmark that fails, or whose JSON has another format than the one of
measurements.py, is named at the end, and its earlier numbers stay.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Optional

from mmwsss.utils import write_json
from mmwsss.utils.errors import UserError, run_tool
from mmwsss.utils.files import write_lines

REPO = Path(__file__).resolve().parents[2]
FOLDER = 'tools/analysis_tools'
KEPT = REPO / 'docs/reports/benchmarks.json'
PAGE = REPO / 'docs/benchmarks.md'
MARKERS = '<!-- benchmarks: begin -->', '<!-- benchmarks: end -->'
ARGUMENTS = {
    'aream': ['--batch', '1'],
    'cams': ['--processes', '2', '--amp', 'bf16', '--post', 'crf'],
    'crf': ['--workers', '0', '1', '2'],
    'toco': ['--no-grad-dtype', 'bfloat16'],
    'transcam': ['--amp', 'bf16'],
    'weaktr': ['--batch', '16'],
}
"""dict: What a benchmark is run with, if not with its defaults."""
QUICK = {
    'affinity': ['--batch', '2', '--channels', '8', '--grid', '16', '--size', '60', '90', '--rounds', '1',
                 '--threads', '1'],
    'aream': ['configs/aream/aream_vit-micro_sample.py', '--repeat', '1'],
    'cams': ['--quick', '--repeat', '1'],
    'crf': ['--size', '48', '72', '--images', '2', '--workers', '0', '--repeat', '1'],
    'par': ['--size', '32', '--repeat', '1'],
    'pipeline': ['configs/toco/toco_vit-micro_sample.py', '--images', '2', '--repeat', '1'],
    'threshold_sweep': ['--images', '1', '--size', '40', '60', '--repeat', '1'],
    'toco': ['configs/toco/toco_vit-micro_sample.py', '--repeat', '1', '--no-grad-dtype', 'bfloat16'],
    'transcam': ['configs/transcam/transcam_conformer-micro_sample.py', '--size', '64', '80', '--repeat', '1'],
    'weaktr': ['configs/weaktr/weaktr_vit-micro_sample.py', '--batch', '1', '--size', '64', '--repeat', '1'],
}
"""dict: What a benchmark is run with by ``--quick``."""


def benchmarks() -> dict[str, str]:
    """Return the scripts of the folder that compare something by name, in alphabetical order.

    ``bench_scale.py`` measures what stages cost, and compares nothing.
    """
    names = sorted(path.stem.removeprefix('bench_') for path in (REPO / FOLDER).glob('bench_*.py'))
    return {name: f'{FOLDER}/bench_{name}.py' for name in names if name not in ('all', 'scale')}


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    names = list(benchmarks())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', nargs='+', choices=names, metavar='NAME', help=f'of {", ".join(names)}')
    parser.add_argument('--start', choices=names, metavar='NAME', help='leave out those before it in this order')
    parser.add_argument('--quick', action='store_true', help='small inputs; nothing is written unless a file is given')
    parser.add_argument('--json', metavar='FILE', help=f'to keep the numbers (default: {KEPT.relative_to(REPO)})')
    parser.add_argument('--page', metavar='FILE', help=f'page with the table (default: {PAGE.relative_to(REPO)})')
    args = parser.parse_args()
    if not args.quick:
        args.json, args.page = args.json or str(KEPT), args.page or str(PAGE)
    return args


def measure(script: str, arguments: list[str]) -> dict:
    """Run a benchmark in a process of its own, whose output is shown.

    Returns:
        What it wrote, with ``name``, ``rows`` and ``versions``.

    Raises:
        UserError: It failed, or what it wrote has another format.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'benchmark.json')
        ended = subprocess.run([sys.executable, script, *arguments, '--json', str(file)], cwd=REPO, check=False)
        if ended.returncode:
            raise UserError(f'ended with exit code {ended.returncode}')
        if not file.is_file():
            raise UserError('wrote no JSON')
        try:
            return checked(json.loads(file.read_text(encoding='utf-8')))
        except json.JSONDecodeError as error:
            raise UserError(f'wrote no valid JSON: {error}') from None


def checked(report: Any) -> dict:
    """Check that a report has rows that can be shown, and fill in their ratios.

    Raises:
        UserError: It has not.
    """
    rows = report.get('rows') if isinstance(report, dict) else None
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
        raise UserError('has no list of "rows" in its JSON; see measurements.py for the format')
    for row in rows:
        if not (row.get('what') and row.get('against')):
            raise UserError(f'has a row without "what" or "against": {row}')
        if row.get('ratio') is None and row.get('seconds') and row.get('baseline_seconds'):
            row['ratio'] = statistics.median(row['baseline_seconds']) / statistics.median(row['seconds'])
        if row.get('ratio') is None and row.get('memory_ratio') is None:
            raise UserError(f'has a row without "ratio" and "memory_ratio": {row}')
    return report


def with_earlier_ratios(report: dict, earlier: Optional[dict]) -> dict:
    """Add to each row, as ``before``, what its ratio was in an earlier report."""
    known = {(row['what'], row['against']): row.get('ratio') for row in (earlier or {}).get('rows', [])}
    for row in report['rows']:
        before = known.get((row['what'], row['against']))
        if before is not None:
            row['before'] = before
    return report


def table_lines(kept: dict[str, dict]) -> list[str]:
    """Return the table of all reports in Markdown."""
    lines = ['| what | against | times as fast | before | times less memory | largest difference | command |',
             '|---|---|---:|---:|---:|---:|---|']
    for report in kept.values():
        command = f'`{report["command"]}`'
        for row in report['rows']:
            numbers = [_number(row.get(key)) for key in ('ratio', 'before', 'memory_ratio')]
            cells = [row['what'], row['against'], *numbers, _difference(row.get('equal_to')), command]
            lines.append('| ' + ' | '.join(cells) + ' |')
            command = 'the same'
    return lines


def _number(value: Optional[float]) -> str:
    return '' if value is None else f'{value:.{1 if value >= 10 else 2}f}'


def _difference(value: Any) -> str:
    if value is None:
        return 'not compared'
    return str(value) if isinstance(value, str) else f'{value:.0e}' if value else 'none'


def write_table(kept: dict[str, dict], page: Path) -> None:
    """Replace what is between the markers of a page.

    Raises:
        UserError: The page has no markers.
    """
    text = page.read_text(encoding='utf-8')
    begin, end = MARKERS
    if begin not in text or end not in text.partition(begin)[2]:
        raise UserError(f'{page}: needs the lines {begin} and {end}, between which the table is written')
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    whole = '\n'.join([before + begin, '', *table_lines(kept), '', end + after])
    write_lines(whole.rstrip('\n').split('\n'), page)


def read_kept(path: Optional[str]) -> dict[str, dict]:
    """Return the reports that were kept, by name."""
    if path is None or not Path(path).is_file():
        return {}
    return json.loads(Path(path).read_text(encoding='utf-8'))


def main() -> int:
    """Run the benchmarks, and keep what each of them gives as soon as it has ended."""
    args = parse_args()
    kept, failed, scripts = read_kept(args.json), {}, benchmarks()
    for name, script in scripts.items():
        if (args.only and name not in args.only) or (args.start and name < args.start):
            continue
        arguments = (QUICK if args.quick else ARGUMENTS).get(name, [])
        command = ' '.join(['python', script, *arguments])
        print(command, flush=True)
        try:
            report = measure(script, arguments)
        except UserError as error:
            failed[name] = str(error)
            continue
        kept[name] = {'command': command, **with_earlier_ratios(report, kept.get(name))}
        kept = {key: kept[key] for key in sorted(kept)}
        if args.json:
            write_json(kept, args.json)
        if args.page:
            write_table(kept, Path(args.page))
    if not args.page:
        print('\n'.join(table_lines(kept)))
    for name, problem in failed.items():
        print(f'{scripts[name]} {problem}', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    run_tool(main)
