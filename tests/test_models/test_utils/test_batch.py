import torch
from mmseg.structures import SegDataSample

from mmwsss.models.utils import present_classes, valid_boxes


def test_classes_of_a_batch():
    labels = torch.tensor([[0., 1, 0, 1], [0, 0, 0, 1]])
    assert present_classes(labels).tolist() == [1, 3]
    assert present_classes(labels * 0).tolist() == [0], 'one channel at least'


def test_boxes_of_a_batch():
    samples = [SegDataSample(metainfo=dict(valid_box=(1, 5, 0, 6))), SegDataSample()]
    assert valid_boxes(samples, torch.zeros(2, 3, 7, 8)).tolist() == [[1, 5, 0, 6], [0, 7, 0, 8]]
