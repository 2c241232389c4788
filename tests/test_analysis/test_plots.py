"""Figures of evaluation results."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mmwsss.analysis import (
    plot_class_iou,
    plot_maps_over_setting,
    plot_maps_over_thresholds,
    plot_rates_over_thresholds,
)

MEANS = pd.DataFrame({'mIoU': [20., 60, 40], 'FP': [70., 20, 10], 'FN': [10., 20, 50]}, index=[.1, .3, .5])
UNDEFINED = pd.Series([np.nan, np.nan], [.1, .3])


@pytest.mark.parametrize(('plot', 'args'), [
    (plot_class_iou, (pd.Series([80., np.nan, 30], ['background', 'cat', 'dog']), 55.)),
    (plot_class_iou, (pd.Series(np.arange(40.), map(str, range(40))), 20.)),
    (plot_rates_over_thresholds, (MEANS, {'fixed': .1, 'oracle': .3})),
    (plot_rates_over_thresholds, (MEANS, {})),
    (plot_maps_over_thresholds, ({'cams': MEANS['mIoU'], 'attention': UNDEFINED}, )),
    (plot_maps_over_setting, ({'cams': MEANS}, 'layers')),
    (plot_maps_over_setting, ({'a': MEANS, 'b': MEANS.set_axis(['x', '[0]', 'y'])}, 'mode')),
])
def test_a_figure_is_drawn(tmp_path: Path, plot: Callable, args: tuple):
    plot(*args, tmp_path / 'figure.png')
    with Image.open(tmp_path / 'figure.png') as image:
        colors = {color for _, color in image.convert('RGB').getcolors(1 << 20)}
    assert (31, 119, 180) in colors, 'blue is the first color'
    assert len(list(tmp_path.iterdir())) == 1


def test_a_wrong_suffix_leaves_nothing(tmp_path: Path):
    with pytest.raises(ValueError, match='nope'):
        plot_rates_over_thresholds(MEANS, {}, tmp_path / 'figure.nope')
    assert not list(tmp_path.iterdir())
