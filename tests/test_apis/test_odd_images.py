"""Images smaller than a patch, and very long ones, have CAMs of their own size with every method."""

import numpy as np
import pytest
from PIL import Image

from mmwsss.apis import expand_short_forms, inference_cams, init_model, labelled_images, make_pseudo_labels
from mmwsss.datasets import ImageLabels
from mmwsss.datasets.map_files import read_label_map

CONFIGS = ['cam/cam_vit', 'toco/toco_vit', 'mctformer/mctformer-v2_vit', 'weaktr/weaktr_vit', 'aream/aream_vit',
           'transcam/transcam_conformer']


@pytest.fixture(scope='module', params=CONFIGS)
def model(request):
    return init_model(f'configs/{request.param}-micro_sample.py')


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (7, 7), (4, 200), (500, 1)])
def test_odd_sizes(model, size):
    cams = inference_cams(model, np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    assert cams.shape == (8, *size)
    assert np.isfinite(cams).all()
    assert cams.min() >= 0
    assert cams.max() <= 1


def test_pseudo_labels_of_odd_sizes(tmp_path):
    model = init_model('configs/cam/cam_vit-micro_sample.py')
    sizes = {'a': (1, 1), 'b': (3, 2), 'c': (600, 3), 'd': (2, 600)}
    (tmp_path / 'images').mkdir()
    for name, size in sizes.items():
        Image.new('RGB', size, (200, 30, 90)).save(tmp_path / f'images/{name}.png')
    classes = tuple(f'class {k}' for k in range(8))
    ImageLabels(classes, dict.fromkeys(sizes, classes[:2])).save(tmp_path / 'labels.json')
    images = labelled_images(model.cfg, dataset=dict(
        type='ImageLabelDataset', label_file=str(tmp_path / 'labels.json'),
        dataset=dict(type='PhotoDataset', classes=classes, data_root=str(tmp_path / 'images'))))
    make_pseudo_labels(model, images, tmp_path / 'out', expand_short_forms(threshold=.4, post='par'))
    found = {name: read_label_map(tmp_path / f'out/{name}.png').shape[::-1] for name in sizes}
    assert found == sizes
