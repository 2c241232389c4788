"""Per-class results as text."""

from collections.abc import Mapping, Sequence

import numpy as np
from prettytable import PrettyTable

__all__ = ['class_table']


def class_table(classes: Sequence[str], columns: Mapping[str, np.ndarray]) -> str:
    """Lay out per-class numbers, with a last row of means.

    Args:
        classes (Sequence[str]): Names of the K classes.
        columns (Mapping[str, np.ndarray]): Heading to (K,) numbers; NaN shows as ``-`` and is left out
            of the mean.

    Returns:
        str: The table, two decimals.

    Raises:
        ValueError: A column has not one number per class.
    """
    table = PrettyTable(['class', *columns], align='r')
    table.align['class'] = 'l'
    for heading, values in columns.items():
        if len(values) != len(classes):
            raise ValueError(f'column {heading} has {len(values)} numbers for {len(classes)} classes')
    rows = list(zip(*columns.values()))
    for index, (name, row) in enumerate(zip(classes, rows)):
        table.add_row([name, *map(_cell, row)], divider=index == len(rows) - 1)
    means = [np.nanmean(values) if np.isfinite(values).any() else np.nan
             for values in columns.values()]
    table.add_row(['mean', *map(_cell, means)])
    return table.get_string()


def _cell(value: float) -> str:
    return f'{value:.2f}' if np.isfinite(value) else '-'
