"""The sheets of pictures reach TensorBoard."""

from pathlib import Path

import numpy as np
import pytest

from mmwsss.analysis import CAMVisualizer


def test_sheets_are_images_in_tensorboard(tmp_path: Path):
    reader = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator',
                                 reason='tensorboard is not installed')
    backends = [dict(type='TensorboardVisBackend')]
    visualizer = CAMVisualizer('sheets in tensorboard', vis_backends=backends, save_dir=str(tmp_path))
    visualizer.dataset_meta = dict(classes=('background', 'cat'), palette=[[0, 0, 0], [255, 0, 0]])
    cell = np.full((20, 30, 3), 90, np.uint8)
    visualizer.add_sheet('val', [dict(cells=dict(image=cell, CAM=cell), values={1})], 'validation', step=7)
    visualizer.add_scalar('loss', .5, step=7)
    visualizer.close()
    events = reader.EventAccumulator(str(tmp_path / 'vis_data'))
    events.Reload()
    picture, = events.Images('val')
    assert (picture.step, picture.width > 60, picture.height > 20) == (7, True, True)
    assert [scalar.value for scalar in events.Scalars('loss')] == [.5]
