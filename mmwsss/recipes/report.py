"""The report of a recipe: a table and pictures as Markdown and HTML, and all numbers as JSON."""

import html
import shutil
from fnmatch import fnmatch
from pathlib import Path

from prettytable import PrettyTable, TableStyle
from rich.table import Table

from mmwsss.utils import atomic_path, write_json

from .recipe import Recipe, RecipeError

__all__ = ['report_rows', 'rich_table', 'write_report']

HEADINGS = ('stage', 'split', 'metric', 'value', 'minutes', 'command')
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
{pictures}
</body>
</html>
'''


def report_rows(recipe: Recipe, records: list[dict]) -> list[list[str]]:
    """Give the rows of the table: a metric each; time and command stand in the first row of a stage.

    Args:
        recipe: Says which metrics are shown.
        records: What the stages left in ``stage.json``.

    Raises:
        RecipeError: A stage has numbers, but none of those that it is to report.
    """
    rows = []
    for record in records:
        found = record['results']
        patterns = recipe.stage(record['name']).report
        shown = {key: value for key, value in found.items() if any(fnmatch(key, pattern) for pattern in patterns)}
        if found and patterns and not shown:
            raise RecipeError(f'stage {record["name"]} reports {", ".join(patterns)}, but its metrics are '
                              f'{", ".join(found)}')
        first = [f'{record["seconds"] / 60:.1f}', ' && '.join(record['commands'])]
        for number, (metric, value) in enumerate(shown.items() or [('', None)]):
            rows.append([record['title'], record['split'], metric, '' if value is None else f'{value:.2f}',
                         *(first if number == 0 else ['', ''])])
    return rows


def rich_table(recipe: Recipe, records: list[dict]) -> Table:
    """The table for a terminal, without the commands, which were printed."""
    table = Table(title=recipe.title)
    for heading in HEADINGS[:-1]:
        table.add_column(heading, justify='right' if heading in ('value', 'minutes') else 'left')
    for row in report_rows(recipe, records):
        table.add_row(*row[:-1])
    return table


def write_report(recipe: Recipe, records: list[dict], out: Path) -> None:
    """Write ``report.md``, ``report.html``, ``results.json`` and copies of the pictures in ``pictures/``.

    Args:
        recipe: Its title and the choice of metrics.
        records: What the stages that are done left in ``stage.json``.
        out: Where to.
    """
    rows = report_rows(recipe, records)
    pictures = {record['title']: _copy_picture(record, out) for record in records if record['pictures']}
    _write(_markdown(recipe.title, rows, pictures), out / 'report.md')
    _write(_page(recipe.title, rows, pictures), out / 'report.html')
    write_json({'title': recipe.title, 'recipe': recipe.path, 'stages': records}, out / 'results.json')


def _copy_picture(record: dict, out: Path) -> str:
    copy = Path('pictures', record['name']).with_suffix('.png')
    with atomic_path(out / copy) as tmp:
        shutil.copyfile(out / record['pictures'], tmp)
    return str(copy)


def _markdown(title: str, rows: list[list[str]], pictures: dict[str, str]) -> str:
    table = PrettyTable(HEADINGS, align='l')
    table.align['value'] = table.align['minutes'] = 'r'
    for row in rows:
        cells = [cell.replace('|', r'\|') for cell in row]
        table.add_row([*cells[:-1], f'`{cells[-1]}`' if cells[-1] else ''])
    table.set_style(TableStyle.MARKDOWN)
    blocks = [f'# {title}', table.get_string(), *(f'## {name}\n\n![{name}]({path})' for name, path in pictures.items())]
    return '\n\n'.join(blocks) + '\n'


def _page(title: str, rows: list[list[str]], pictures: dict[str, str]) -> str:
    table = PrettyTable(HEADINGS)
    table.add_rows(rows)
    shown = [f'<h2>{html.escape(name)}</h2>\n<img src="{html.escape(path)}" alt="{html.escape(name)}">'
             for name, path in pictures.items()]
    return PAGE.format(title=html.escape(title), table=table.get_html_string(), pictures='\n'.join(shown))


def _write(text: str, path: Path) -> None:
    with atomic_path(path) as tmp:
        tmp.write_text(text, encoding='utf-8')
