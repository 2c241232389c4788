"""Tables and figures of finished runs: times of stages, share of full supervision, scatter, and IoU of classes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from matplotlib.figure import Figure

from mmwsss.utils.errors import UserError
from mmwsss.utils.results import RESULTS_FILE, read_results

from ..plots import new_figure, save_figure
from .base import ANALYSES, RunAnalysis
from .records import runs_of
from .tables import AnalysisTable, draw_table, number

__all__ = ['ClassTable', 'Scatter', 'StageTimes', 'SupervisionRatio']


def metric_of(path: Path, metric: str) -> float:
    """Return a metric of a results file, or of ``results.json`` in a folder.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file does not have the metric.
    """
    metrics = results_of(path)['metrics']
    if metrics.get(metric) is None:
        raise UserError(f'{path} has no {metric}; its metrics are {", ".join(metrics)}: choose one by metric=...')
    return float(metrics[metric])


def results_of(path: Path) -> dict[str, Any]:
    """Return a results file, or ``results.json`` in a folder."""
    file = path / RESULTS_FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f'no {file}: give the work directory of a training, a test or a recipe')
    return read_results(file)


@ANALYSES.register_module(name='stage-times')
class StageTimes(RunAnalysis):
    """Minutes of each stage of recipes."""

    source = 'WeakTr Tables 7, 11'
    reads_files = True

    def read(self, work_dir: Path) -> dict[str, Any]:
        """Read the stages of a recipe's output folder."""
        stages = results_of(work_dir).get('stages')
        if stages is None:
            raise UserError(f'{work_dir} is not the output folder of a recipe: its {RESULTS_FILE} has no stages')
        return dict(stages=[dict(title=stage['title'], kind=stage['kind'], minutes=stage['seconds'] / 60)
                            for stage in stages])

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the sum."""
        return {'minutes': sum(stage['minutes'] for stage in data['stages'])}

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return a row for each stage, and a sum for each recipe."""
        rows = []
        for label, data in runs_of(record):
            rows += [[label, stage['title'], stage['kind'], number(stage['minutes'], 1)] for stage in data['stages']]
            rows.append([label, 'all stages', '', number(self.summary(data)['minutes'], 1)])
        return AnalysisTable(['recipe', 'stage', 'kind', 'minutes'], rows, words=3)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a bar for each recipe, with a part for each stage."""
        runs = runs_of(record)
        figure = Figure(figsize=(8, 1.2 + .8 * len(runs)), layout='constrained')
        axes = figure.add_subplot()
        for place, (_, data) in enumerate(runs):
            left = 0.
            for index, stage in enumerate(data['stages']):
                axes.barh(place, stage['minutes'], left=left, color=f'C{index % 10}', edgecolor='white')
                if stage['minutes'] > .06 * max(self.summary(other)['minutes'] for _, other in runs):
                    axes.text(left + stage['minutes'] / 2, place, stage['title'], ha='center', va='center', fontsize=7)
                left += stage['minutes']
        axes.set_yticks(range(len(runs)), [label for label, _ in runs])
        axes.invert_yaxis()
        axes.spines[['top', 'right']].set_visible(False)
        axes.set(xlabel='minutes')
        save_figure(figure, path)


@ANALYSES.register_module(name='supervision-ratio')
class SupervisionRatio(RunAnalysis):
    """Results of weak supervision as a share of those of full supervision, and the gap between them.

    Args:
        full: Label of the run that was trained on masks; by default the last one.
        metric: Name of the metric in ``results.json``.
    """

    source = 'ToCo Table 3; WeakTr Tables 2, 12'
    reads_files = True

    def __init__(self, full: Optional[str] = None, metric: str = 'seg/mIoU') -> None:
        self.full, self.metric = full, metric

    def read(self, work_dir: Path) -> dict[str, Any]:
        """Read the metric."""
        return dict(value=metric_of(work_dir, self.metric))

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return a row for each run."""
        values = {label: data['value'] for label, data in runs_of(record)}
        full = self.full or list(values)[-1]
        if full not in values:
            raise UserError(f'full={full} is none of the runs {", ".join(values)}')
        rows = [[label, number(value), *(('', '') if label == full else (
            number(100 * value / values[full]), number(value - values[full])))] for label, value in values.items()]
        return AnalysisTable(['run', self.metric, f'ratio to {full} (%)', 'gap'], rows)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw the table."""
        draw_table(self.table(record), path)


@ANALYSES.register_module(name='scatter')
class Scatter(RunAnalysis):
    """Results on one data set over those on another, a point for each method.

    Args:
        x: Results file in the folder of a run, for the x axis.
        y: Results file for the y axis.
        metric: Name of the metric in both.
        others: Further points (name, x, y), such as published ones.
        names: Names of the axes.
    """

    source = 'WeakTr Fig. 1'

    def __init__(self, x: str = f'voc/{RESULTS_FILE}', y: str = f'coco/{RESULTS_FILE}', metric: str = 'seg/mIoU',
                 others: Sequence[tuple[str, float, float]] = (),
                 names: tuple[str, str] = ('VOC val mIoU (%)', 'COCO val mIoU (%)')) -> None:
        self.x, self.y, self.metric, self.names = x, y, metric, names
        self.others = list(others)

    def read(self, work_dir: Path) -> dict[str, Any]:
        """Read both results of a run."""
        return dict(x=metric_of(work_dir / self.x, self.metric), y=metric_of(work_dir / self.y, self.metric))

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw filled points for the runs and hollow ones for the others."""
        figure, axes = new_figure()
        points = [(label, data['x'], data['y'], True) for label, data in runs_of(record)]
        points += [(f'{name} (published)', x, y, False) for name, x, y in self.others]
        for index, (label, x, y, own) in enumerate(points):
            axes.plot(x, y, 'o', color=f'C{index % 10}', fillstyle='full' if own else 'none')
            axes.annotate(label, (x, y), xytext=(5, 4), textcoords='offset points', fontsize=8)
        axes.set(xlabel=self.names[0], ylabel=self.names[1])
        axes.margins(.15)
        axes.grid(alpha=.3)
        save_figure(figure, path)


@ANALYSES.register_module(name='class-table')
class ClassTable(RunAnalysis):
    """IoU of each class, the best of each class in bold.

    The runs are JSON files of ``eval_pseudo_labels.py --json``, of label maps or of maps at their best threshold.
    """

    source = 'ToCo Table 8; WeakTr Tables 13, 14, 15; TransCAM Tables 4, 8'
    reads_files = True

    def read(self, work_dir: Path) -> dict[str, Any]:
        """Read the IoU of the classes."""
        if not work_dir.is_file():
            raise FileNotFoundError(f'no file {work_dir}: write one by eval_pseudo_labels.py --json')
        results = json.loads(work_dir.read_text(encoding='utf-8'))
        if not isinstance(results, dict) or 'classes' not in results or 'IoU' not in results:
            raise UserError(f'{work_dir} has no IoU of classes: write one by eval_pseudo_labels.py --json')
        iou = np.array(results['IoU'], np.float64)
        if iou.ndim == 2:
            iou = iou[int(np.nanargmax(np.array(results['mIoU'], np.float64)))]
        return dict(classes=results['classes'], IoU=[None if np.isnan(value) else value for value in iou.tolist()])

    def table(self, record: Mapping[str, Any]) -> AnalysisTable:
        """Return a row for each class and a column for each run, and the mean."""
        runs = runs_of(record)
        classes = list(dict.fromkeys(name for _, data in runs for name in data['classes']))
        columns = [dict(zip(data['classes'], data['IoU'])) for _, data in runs]
        rows = []
        for name in classes:
            values = [np.nan if column.get(name) is None else column[name] for column in columns]
            best = len(values) > 1 and np.nanmax([-1, *values])
            rows.append([name, *(f'{number(value)} (best)' if value == best else number(value) for value in values)])
        means = [float(np.nanmean([np.nan if value is None else value for value in column.values()]))
                 for column in columns]
        rows.append(['mean', *map(number, means)])
        return AnalysisTable(['class', *(label for label, _ in runs)], rows)

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw a bar for each class of each run."""
        runs = runs_of(record)
        classes = runs[0][1]['classes']
        figure = Figure(figsize=(max(.3 * len(classes) * max(len(runs), 2) / 2, 5), 4), layout='constrained')
        axes = figure.add_subplot()
        width = .8 / len(runs)
        for index, (label, data) in enumerate(runs):
            places = np.arange(len(data['IoU'])) + (index - (len(runs) - 1) / 2) * width
            axes.bar(places, np.nan_to_num(np.array(data['IoU'], np.float64)), width, label=label)
        axes.set_xticks(range(len(classes)), classes, rotation=90, fontsize=8)
        axes.set(ylabel='IoU (%)')
        axes.spines[['top', 'right']].set_visible(False)
        save_figure(figure, path, 'outside upper center')
