import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmwsss.analysis import CAMVisualizer
from mmwsss.registry import VISUALIZERS

PALETTE = [[0, 0, 0], [250, 0, 0], [0, 0, 250]]


@pytest.fixture(scope='module')
def visualizer() -> CAMVisualizer:
    result = VISUALIZERS.build({'type': 'CAMVisualizer', 'name': 'test_cam_visualizer', 'cell_size': (60, 40)})
    result.dataset_meta = {'classes': ('background', 'disc', 'bar'), 'palette': PALETTE}
    return result


def make_sample(**fields: object) -> SegDataSample:
    sample = SegDataSample()
    for name, value in fields.items():
        sample.set_field(value, name)
    return sample


def test_row_has_a_cell_for_all_that_a_sample_carries(visualizer: CAMVisualizer):
    cams = torch.zeros(2, 20, 30)
    cams[0, :10], cams[1] = .9, .95
    sample = make_sample(
        cams=PixelData(data=cams), gt_label=torch.tensor([1., 0.]),
        pred_sem_seg=PixelData(data=torch.full((1, 20, 30), 2)),
        gt_sem_seg=PixelData(data=torch.full((1, 20, 30), 255)))
    row = visualizer.sheet_row(np.full((20, 30, 3), 90, np.uint8), sample, threshold=.5)
    assert list(row['cells']) == ['image', 'CAM', 'pseudo label', 'prediction', 'truth']
    assert {cell.shape for cell in row['cells'].values()} == {(40, 60, 3)}
    assert row['values'] == {0, 1, 2, 255}
    pseudo = row['cells']['pseudo label']
    assert (pseudo[:19] == PALETTE[1]).all()  # of the present class alone
    assert (pseudo[21:] == 0).all()
    assert (row['cells']['prediction'] == PALETTE[2]).all()
    heat = row['cells']['CAM'].astype(int)
    assert heat[5, 5, 0] > heat[5, 5, 2]
    assert heat[35, 5, 0] < heat[35, 5, 2]


def test_columns_that_not_all_rows_have_are_left_out(visualizer: CAMVisualizer):
    image = np.zeros((20, 30, 3), np.uint8)
    truth = PixelData(data=torch.zeros(1, 20, 30, dtype=torch.uint8))
    rows = [visualizer.sheet_row(image, make_sample(gt_sem_seg=truth)), visualizer.sheet_row(image, make_sample())]
    two, one = visualizer.draw_sheet(rows[:1]), visualizer.draw_sheet(rows)
    assert two.shape[1] - one.shape[1] == 60 + 4


def test_classes_without_a_color_get_one(visualizer: CAMVisualizer):
    meta = visualizer.dataset_meta
    visualizer.dataset_meta = {'classes': ('background', 'disc', 'bar')}
    assert visualizer.draw_labels(np.array([[1, 2]])).tolist() == [[[128, 0, 0], [0, 128, 0]]]
    visualizer.dataset_meta = meta


def test_sheet_goes_to_the_backends(tmp_path):
    visualizer = CAMVisualizer(name='test_backends', vis_backends=[{'type': 'LocalVisBackend'}],
                               save_dir=str(tmp_path))
    row = visualizer.sheet_row(np.zeros((20, 30, 3), np.uint8), make_sample())
    visualizer.add_sheet('val', [row], 'heading', step=3)
    assert [path.name for path in tmp_path.rglob('*.png')] == ['val_3.png']
