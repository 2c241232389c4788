"""What attention heads look at: their attention by position, and its correlation with the classes (WeakTr, Fig. 2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmwsss.models import Features, Request
from mmwsss.utils.errors import UserError

from .base import ANALYSES, ModelAnalysis, Sample
from .drawing import Heatmap, draw_heatmaps, min_max
from .observations import ClassHeadRows
from .records import rounded, runs_of

__all__ = ['HeadStatistics', 'StreamingPearson']

POSITIONS = 4


class StreamingPearson:
    """Pearson correlation of pairs of numbers that come one after the other; five sums in float64 are all it keeps."""

    def __init__(self) -> None:
        self._count = 0
        self._sums: Any = 0.

    def update(self, first: Tensor, second: Tensor) -> None:
        """Add one observation of each pair; both tensors broadcast to one shape."""
        first, second = torch.broadcast_tensors(first.double(), second.double())
        self._sums = self._sums + torch.stack([first, second, first * first, second * second, first * second])
        self._count += 1

    def compute(self) -> Tensor:
        """Return the correlations in [-1, 1], NaN where either number has always been the same."""
        first, second, squares, other_squares, products = self._sums / self._count
        variances = (squares - first**2) * (other_squares - second**2)
        constant = (squares - first**2 <= 1e-12 * squares) | (other_squares - second**2 <= 1e-12 * other_squares)
        return ((products - first * second) / variances.clamp(min=0).sqrt()).masked_fill(constant, torch.nan)


@ANALYSES.register_module(name='head-statistics')
class HeadStatistics(ModelAnalysis):
    """Where each head's class tokens attend to, and how that correlates with the classes of the images.

    Positions are the cells of a 4 x 4 grid over the image, averaged over classes and images. For the correlation, the
    attention of each class token is averaged over the patches of an image; a model with a single class token has it
    compared with all classes.

    Args:
        position_heads: Number of heads, drawn at random, in the chart of positions.
        class_heads: Number of heads, drawn at random, in the chart of classes.
        normalize_rows: Scale each head's attention by position to [0, 1] in the chart.
    """

    source = 'WeakTr Fig. 2'
    needs_labels = True

    def __init__(self, position_heads: int = 16, class_heads: int = 20, normalize_rows: bool = False) -> None:
        self.normalize_rows = normalize_rows
        self.counts = position_heads, class_heads
        self._positions: list[Tensor] = []
        self._pearson = StreamingPearson()
        self._classes: tuple[str, ...] = ()

    def request(self, model: nn.Module) -> Request:
        """Request the rows of class tokens."""
        return Request(observations=(ClassHeadRows(), ))

    def update(self, model: nn.Module, sample: Sample, features: Features) -> None:
        """Add an image."""
        rows = features[ClassHeadRows()][0].flatten(0, 1).cpu()
        if rows.shape[1] not in (1, len(sample.classes)):
            raise UserError(f'the backbone has {rows.shape[1]} class tokens, the data have {len(sample.classes)} '
                            'classes: give the data that the model was trained on, or --classes')
        self._classes = sample.classes
        maps = rows.mean(dim=1).unflatten(1, features.layout.grid)
        self._positions.append(F.adaptive_avg_pool2d(maps, POSITIONS).flatten(1))
        self._pearson.update(rows.mean(dim=2), sample.image_labels.cpu())
        self._heads = [f'{layer}.{head}' for layer in range(1, 1 + features.layout.num_layers)
                       for head in range(1, 1 + features.layout.num_heads)]

    def compute(self) -> dict[str, Any]:
        """Return, of all heads, attention by position (heads, 16) and correlations (heads, C); and which are drawn."""
        drawn = [sorted(torch.randperm(len(self._heads))[:count].tolist()) for count in self.counts]
        return dict(heads=self._heads, classes=list(self._classes),
                    positions=rounded(torch.stack(self._positions).mean(dim=0)),
                    correlations=rounded(self._pearson.compute()), position_heads=drawn[0], class_heads=drawn[1])

    def summary(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Return the mean absolute correlation of all heads and classes."""
        known = np.abs(np.array(data['correlations'], np.float64))
        return {} if np.isnan(known).all() else {'mean absolute correlation': float(np.nanmean(known))}

    def draw(self, record: Mapping[str, Any], path: Path) -> None:
        """Draw both charts of each run; heads are named by layer and number."""
        rows = []
        for label, data in runs_of(record):
            position = np.array(data['positions'], np.float64)
            if self.normalize_rows:
                position = np.stack([min_max(row) for row in position])
            charts = (('position_heads', position, 'position in a 4 x 4 grid', range(1, POSITIONS**2 + 1)),
                      ('class_heads', np.array(data['correlations'], np.float64), 'correlation with the class',
                       data['classes']))
            rows.append([Heatmap(values[data[chosen]], [data['heads'][head] for head in data[chosen]],
                                 list(map(str, columns)), f'{label}: {title}', 'head (layer.number)',
                                 diverging=chosen == 'class_heads')
                         for chosen, values, title, columns in charts])
        draw_heatmaps(rows, path)
