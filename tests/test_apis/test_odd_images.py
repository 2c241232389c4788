"""Images smaller than a patch, and very long ones, have CAMs of their own size with every method."""

import numpy as np
import pytest

from mmwsss.apis import inference_cams, init_model

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
