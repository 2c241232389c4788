"""Tables of analyses: for the terminal, as Markdown and as a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from matplotlib.figure import Figure
from rich.table import Table

from ..plots import save_figure

__all__ = ['AnalysisTable', 'draw_table', 'number']


class AnalysisTable(NamedTuple):
    """A table of text.

    Attributes:
        headings: Of the columns.
        rows: Cells, as many in each row as there are headings.
        notes: Sentences below the table.
        words: Number of first columns that have words and are aligned left; the others have numbers.
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: str = ''
    words: int = 1

    def markdown(self) -> str:
        """Return the table in Markdown, with the notes below it."""
        rule = ['---'] * self.words + ['---:'] * (len(self.headings) - self.words)
        lines = [[cell.replace('|', r'\|').replace('*', r'\*') for cell in line]
                 for line in (self.headings, *self.rows)]
        lines.insert(1, rule)
        table = '\n'.join(f'| {" | ".join(line)} |' for line in lines)
        notes = self.notes.replace('*', r'\*')
        return f'{table}\n' + (f'\n{notes}\n' if notes else '')

    def rich(self) -> Table:
        """Return the table for a terminal; rows with the same first cell form a group."""
        table = Table(caption=self.notes or None, caption_justify='left')
        for index, heading in enumerate(self.headings):
            table.add_column(heading, justify='left' if index < self.words else 'right')
        for row, following in zip(self.rows, [*self.rows[1:], None]):
            table.add_row(*row, end_section=bool(following) and following[0] != row[0])
        return table


def draw_table(table: AnalysisTable, path: Path) -> None:
    """Draw a table as a figure.

    Args:
        table: The table.
        path: The figure.
    """
    lines = [table.headings, *table.rows]
    widths = [max(len(line[column]) for line in lines) + 2 for column in range(len(table.headings))]
    figure = Figure(figsize=(max(.09 * sum(widths), 4), .28 * len(lines) + .3), layout='constrained')
    axes = figure.add_subplot()
    axes.axis('off')
    cells = axes.table([list(row) for row in table.rows], colLabels=list(table.headings), loc='center',
                       colWidths=[width / sum(widths) for width in widths], cellLoc='right')
    cells.auto_set_font_size(False)
    cells.set_fontsize(9)
    for (row, column), cell in cells.get_celld().items():
        cell.visible_edges = 'B' if row == 0 else ''
        cell.get_text().set_fontweight('bold' if row == 0 else 'normal')
        if column < table.words:
            cell.set_text_props(ha='left')
    save_figure(figure, path)


def number(value: Optional[float], digits: int = 2) -> str:
    """Return a number with some decimals; ``-`` where it is undefined."""
    return '-' if value is None or np.isnan(value) else f'{value:.{digits}f}'
