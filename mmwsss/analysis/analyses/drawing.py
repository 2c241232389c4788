"""Charts that several analyses share."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..plots import new_figure, save_figure

__all__ = ['draw_layer_curves']

Curve = tuple[Sequence[float], Sequence[float], Sequence[float]]


def draw_layer_curves(curves: Mapping[str, Curve], quantity: str, path: Path, limits: tuple = (None, None)) -> None:
    """Draw a quantity over the layers of networks.

    Args:
        curves: Values, lower and upper edge of a band, each by layer, by the label of the run.
        quantity: Name of the y axis.
        path: The figure.
        limits: Lower and upper end of the y axis.
    """
    figure, axes = new_figure()
    for label, (values, low, high) in curves.items():
        layers = range(1, len(values) + 1)
        line, = axes.plot(layers, values, 'o-', label=label)
        axes.fill_between(layers, low, high, color=line.get_color(), alpha=.15, linewidth=0)
    axes.set(xlabel='layer', ylabel=quantity, ylim=limits)
    axes.set_xticks(range(1, 1 + max(len(values) for values, *_ in curves.values())))
    axes.grid(alpha=.3)
    save_figure(figure, path, 'outside upper center')
