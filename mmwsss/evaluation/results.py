"""The result of an evaluation: tables, best threshold, and printers."""

import io
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from mmwsss.utils import first_few

from .rates import MEANS, RATES, best_threshold, class_rates, summarize_rates

__all__ = ['EvaluationResult', 'format_rate', 'without_nan']

class EvaluationResult:
    """Per-class rates, their means and the best threshold of an evaluation, in percent.

    Results of CAMs have a set of thresholds; results of label maps have none, and their methods take no
    threshold. A mean is NaN if no pixel of the masks belongs to a foreground class: a mean over the background alone
    says nothing. :attr:`notes` explains this, and names classes that no mask holds.

    Args:
        hits (np.ndarray): Pixels predicted as their true class, (T, K) integers, or (K,) without thresholds.
        predicted (np.ndarray): Pixels predicted as each class, of the same shape.
        truth (np.ndarray): Pixels of each class in the masks, (K,) integers.
        classes (Sequence[str]): Names of the K classes, background first.
        thresholds (np.ndarray, optional): (T,) increasing.
        ignored (int): Number of pixels that the masks leave out.
        ignore_index (int): Mask value of these pixels.
        **details (Any): Further numbers for :meth:`to_dict`, such as ``num_images``.

    Attributes:
        classes (list[str]): Names of the K classes.
        thresholds (np.ndarray, optional): (T,) float64.
        means (pd.DataFrame): A row per threshold, or one without thresholds; columns are the names of :data:`MEANS`.
        details (dict): The further numbers.

    Raises:
        ValueError: The number of classes or thresholds does not fit the counts.

    Examples:
        >>> result = EvaluationResult(np.array([6, 1]), np.array([8, 2]), np.array([7, 3]), ['background', 'cat'])
        >>> result.per_class()['IoU'].round(2).to_dict()
        {'background': 66.67, 'cat': 25.0}
        >>> round(result.metrics()['mIoU'], 2)
        45.83
    """

    def __init__(self,
                 hits: np.ndarray,
                 predicted: np.ndarray,
                 truth: np.ndarray,
                 classes: Sequence[str],
                 thresholds: Optional[np.ndarray] = None,
                 ignored: int = 0,
                 ignore_index: int = 255,
                 **details: Any) -> None:
        shape = (len(classes), ) if thresholds is None else (len(thresholds), len(classes))
        if hits.shape != shape:
            raise ValueError(f'{len(classes)} classes were named and counts of shape {hits.shape} given, expected '
                             f'{shape}')
        self.classes = [str(name) for name in classes]
        self.thresholds = thresholds
        self.details = details
        self._summary = summarize_rates(class_rates(hits, predicted, truth))
        self._occurs = truth > 0
        self._predicted = np.atleast_2d(predicted)[0] > 0  # the lowest threshold leaves least to the background
        self._ignored, self._ignore_index = ignored, ignore_index
        if not self.has_foreground:
            self._summary.update({key: np.full_like(self._summary[key], np.nan) for key in MEANS.values()})
        index = [''] if thresholds is None else pd.Index(thresholds, name='threshold')
        self.means = pd.DataFrame({name: np.atleast_1d(self._summary[key]) for name, key in MEANS.items()}, index)

    @property
    def has_foreground(self) -> bool:
        """Whether the masks hold a pixel of a foreground class."""
        return bool(self._occurs[1:].any())

    @property
    def notes(self) -> list[str]:
        """Sentences about classes that the masks do not hold; empty if every class occurs."""
        if not self.has_foreground:
            if self._ignored and self._occurs[0]:
                return [f'The masks hold only 0 and {self._ignore_index}, which is the ignored value, so no class can '
                        'be evaluated. If they are black-and-white pictures, write the index of the class (1, 2, ...) '
                        f'instead of {self._ignore_index}, or name another ignored value.']
            return ['The masks hold no pixel of a foreground class, so no class can be evaluated.']
        absent: dict[bool, list] = {True: [], False: []}
        for name, occurs, predicted in list(zip(self.classes, self._occurs, self._predicted))[1:]:
            if not occurs:
                absent[bool(predicted)].append(name)
        notes = []
        if absent[True]:
            notes.append(f'Predicted, but in none of the masks: {first_few(absent[True])}. Their IoU of 0 counts in '
                         'the means. Check that the masks and the predictions count the classes alike.')
        if absent[False]:
            notes.append(f'In none of the masks, and left out of the means: {first_few(absent[False])}.')
        return notes

    def per_class(self, threshold: Optional[float] = None) -> pd.DataFrame:
        """Return the table of one threshold.

        Args:
            threshold (float, optional): One of ``thresholds``; None for a result without thresholds.

        Returns:
            pd.DataFrame: A row per class; columns are the names of :data:`RATES`, in percent, NaN where undefined.

        Raises:
            ValueError: The result has no such threshold, or has thresholds and none was given.
        """
        position = self._position(threshold)
        return pd.DataFrame({name: np.atleast_2d(self._summary[key])[position] for name, key in RATES.items()},
                            pd.Index(self.classes, name='class'))

    def best(self, stop_early: bool = False, among: Optional[Sequence[float]] = None) -> float:
        """Return the threshold with the best mIoU; the lowest of equal ones.

        Args:
            stop_early (bool): See :func:`best_threshold`.
            among (Sequence[float], optional): Consider these of the thresholds only.

        Returns:
            float: The threshold; NaN if every mIoU is NaN.

        Raises:
            ValueError: The result has no thresholds, or none of those in ``among``.
        """
        if self.thresholds is None:
            raise ValueError('a result of label maps has no thresholds')
        curve = self.means['mIoU'] if among is None else self.means['mIoU'][np.isin(self.thresholds, among)]
        if curve.empty:
            raise ValueError(f'none of the thresholds {list(among)[:5]} was evaluated')
        return float('nan') if curve.isna().all() else float(curve.index[best_threshold(curve, stop_early)])

    def metrics(self, threshold: Optional[float] = None, oracle: Optional[float] = None) -> dict[str, float]:
        """Return the means by name.

        Args:
            threshold (float, optional): A threshold fixed without masks; its means have plain names such as ``mIoU``.
                A result without thresholds has only these.
            oracle (float, optional): A threshold that the masks chose, see :meth:`best`; its means are named
                ``oracle_...``. NaN gives NaN.

        Returns:
            dict[str, float]: In percent; ``threshold`` and ``oracle_threshold`` are those given.
        """
        if self.thresholds is None:
            return self.means.iloc[self._position(threshold)].to_dict()
        named: dict = {}
        if threshold is not None:
            named.update(self._means_at(threshold), threshold=float(threshold))
        if oracle is not None:
            named.update({f'oracle_{name}': value for name, value in self._means_at(oracle).items()},
                         oracle_threshold=float(oracle))
        return named

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers for JSON: arrays as lists, undefined numbers as None.

        Returns:
            dict[str, Any]: ``classes``; ``thresholds`` (T,) if there are any; per class the keys of :data:`RATES`,
            (T, K) or (K,); the means by the keys of :data:`MEANS`, (T,) or numbers; ``notes``; the further numbers.
        """
        thresholds = {} if self.thresholds is None else {'thresholds': self.thresholds.tolist()}
        summary = {key: values.tolist() for key, values in self._summary.items()}
        return without_nan({'classes': self.classes, **thresholds, **summary, **self.details, 'notes': self.notes})

    def to_table(self, threshold: Optional[float] = None, title: Optional[str] = None) -> Table:
        """Build the table of one threshold for the terminal, with a last row of means.

        Args:
            threshold (float, optional): As in :meth:`per_class`.
            title (str, optional): Shown above the table.

        Returns:
            rich.table.Table: Two decimals, ``-`` where a rate is undefined.
        """
        table = Table(title=title, title_justify='left')
        table.add_column('class')
        for name in RATES:
            table.add_column(name, justify='right')
        rows = self.per_class(threshold)
        for index, (name, rates) in enumerate(rows.iterrows(), start=1):
            table.add_row(name, *map(format_rate, rates), end_section=index == len(rows))
        table.add_row('mean', *map(format_rate, self.means.iloc[self._position(threshold)]))
        return table

    def to_text(self, threshold: Optional[float] = None) -> str:
        """Return the table of :meth:`to_table` as plain ASCII text for a log.

        Args:
            threshold (float, optional): As in :meth:`per_class`.
        """
        table = self.to_table(threshold)
        table.box = box.ASCII
        output = io.StringIO()
        Console(file=output, width=200, color_system=None).print(table)
        return output.getvalue().rstrip()

    def _position(self, threshold: Optional[float]) -> int:
        """Return the row of a threshold."""
        if self.thresholds is None and threshold is None:
            return 0
        if self.thresholds is None:
            raise ValueError('a result of label maps has no thresholds')
        if threshold is None:
            raise ValueError(f'name one of the {len(self.thresholds)} thresholds of the result')
        found = np.flatnonzero(self.thresholds == threshold)
        if not found.size:
            raise ValueError(f'threshold {threshold} is not one of the {len(self.thresholds)} that were evaluated, '
                             f'{self.thresholds[0]} to {self.thresholds[-1]}')
        return int(found[0])

    def _means_at(self, threshold: float) -> dict[str, float]:
        """Return the means of a threshold by name; all NaN for NaN."""
        if np.isnan(threshold):
            return dict.fromkeys(MEANS, float('nan'))
        return self.means.iloc[self._position(threshold)].to_dict()


def format_rate(value: Optional[float]) -> str:
    """Return a number with two decimals; ``-`` for None or NaN."""
    return f'{value:.2f}' if value is not None and np.isfinite(value) else '-'


def without_nan(value: Any) -> Any:
    """Replace NaN by None in nested dictionaries and lists, since JSON has no NaN."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
