"""The report of a recipe: a table and figures as Markdown and HTML, and all results as JSON."""

import html
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from mmwsss.utils import atomic_path
from mmwsss.utils.results import RESULTS_FILE, write_results

from .schema import Recipe, RecipeError
from .seeds import SPREAD_HEADINGS, spread_cells, spread_of

__all__ = ['report_rows', 'results_table', 'write_report']

HEADINGS = ('stage', 'split', 'metric', 'value', 'minutes', 'command')
SPREAD_TITLE = 'Mean and spread over seeds'
PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
th, td {{ padding: .3em .8em; border-bottom: 1px solid #ccc; text-align: left; vertical-align: top; }}
td:nth-child(4), td:nth-child(5) {{ text-align: right; }}
td:nth-child(6) {{ font-family: monospace; font-size: 80%; }}
img {{ max-width: 100%; }}
</style>
</head>
<body>
<h1>{title}</h1>
{table}
{spread}
{figures}
</body>
</html>
'''


def report_rows(recipe: Recipe, records: Sequence[dict]) -> list[list[str]]:
    """Return the rows of the table, one for each metric.

    Args:
        recipe (Recipe): Names the metrics that the report shows.
        records (Sequence[dict]): The content of ``stage.json`` of each finished stage.

    Returns:
        list[list[str]]: A cell for each of stage, split, metric, value, minutes and command. Only the first row of a
        stage has the last two.

    Raises:
        RecipeError: A stage has results, but none of the metrics that it is to report.
    """
    rows = []
    for record in records:
        results, stage = record['results'], recipe.stage(record['name'])
        shown = stage.reported(results)
        if results and stage.report and not shown:
            raise RecipeError(f'stage {record["name"]} is to report {", ".join(stage.report)}, but its metrics are '
                              f'{", ".join(results)}')
        costs = [f'{record["seconds"] / 60:.1f}', record['command']]
        for metric, value in shown.items() or [('', None)]:
            rows.append([record['title'], record['split'] if shown else '', metric,
                         '' if value is None else f'{value:.2f}', *costs])
            costs = ['', '']
    return rows


def results_table(recipe: Recipe, records: Sequence[dict]) -> Table:
    """Return the table for a terminal, without the commands."""
    table = Table(title=recipe.title)
    for heading in HEADINGS[:-1]:
        table.add_column(heading, justify='right' if heading in ('value', 'minutes') else 'left')
    for row in report_rows(recipe, records):
        table.add_row(*row[:-1])
    return table


def write_report(recipe: Recipe, records: Sequence[dict], work_dir: Path) -> None:
    """Write ``report.md``, ``report.html``, ``results.json`` and copies of the figures in ``figures/``.

    Args:
        recipe (Recipe): The recipe.
        records (Sequence[dict]): The content of ``stage.json`` of each finished stage.
        work_dir (Path): Folder of the recipe's outputs.
    """
    rows = report_rows(recipe, records)
    figures = {record['title']: _copy_figure(record, work_dir) for record in records if record['figure']}
    found = spread_of(recipe, records)
    spread = [spread_cells(one) for one in found]
    _write_text(_markdown(recipe.title, rows, spread, figures), work_dir / 'report.md')
    _write_text(_page(recipe.title, rows, spread, figures), work_dir / 'report.html')
    metrics = {f'{record["name"]} {name}': value for record in records for name, value in record['results'].items()}
    details = [dict(stage=one.stage, split=one.split, metric=one.metric, mean=one.mean, deviation=one.deviation,
                    values=one.values) for one in found]
    further: dict[str, Any] = {'spread': details} if details else {}
    write_results(work_dir / RESULTS_FILE, 'run_recipe.py', metrics, recipe.path, title=recipe.title, stages=records,
                  **further)


def _copy_figure(record: dict, work_dir: Path) -> str:
    copy = Path('figures', f'{record["name"]}.png')
    with atomic_path(work_dir / copy) as tmp:
        shutil.copyfile(work_dir / record['figure'], tmp)
    return str(copy)


def _markdown(title: str, rows: list[list[str]], spread: list[list[str]], figures: dict[str, str]) -> str:
    lines = [f'# {title}', '', _markdown_row(HEADINGS), '|---|---|---|---:|---:|---|']
    for row in rows:
        cells = [cell.replace('|', r'\|') for cell in row]
        lines.append(_markdown_row([*cells[:-1], f'`{cells[-1]}`' if cells[-1] else '']))
    if spread:
        lines += ['', f'## {SPREAD_TITLE}', '', _markdown_row(SPREAD_HEADINGS), '|---|---|---|---:|---:|---|']
        lines += [_markdown_row([cell.replace('|', r'\|') for cell in row]) for row in spread]
    for name, path in figures.items():
        lines += ['', f'## {name}', '', f'![{name}]({path})']
    return '\n'.join(lines) + '\n'


def _markdown_row(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _page(title: str, rows: list[list[str]], spread: list[list[str]], figures: dict[str, str]) -> str:
    images = [f'<h2>{html.escape(name)}</h2>\n<img src="{html.escape(path)}" alt="{html.escape(name)}">'
              for name, path in figures.items()]
    section = f'<h2>{SPREAD_TITLE}</h2>\n{_html_table(SPREAD_HEADINGS, spread)}' if spread else ''
    return PAGE.format(title=html.escape(title), table=_html_table(HEADINGS, rows), spread=section,
                       figures='\n'.join(images))


def _html_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_html_row('th', headings), *(_html_row('td', row) for row in rows)]
    return '\n'.join(['<table>', *lines, '</table>'])


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return '<tr>' + ''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells) + '</tr>'


def _write_text(text: str, path: Path) -> None:
    with atomic_path(path) as tmp:
        tmp.write_text(text, encoding='utf-8')
