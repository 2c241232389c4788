"""DenseCRF with backend='torch' gives the labels of pydensecrf, and runs without it."""

import sys

import cv2
import numpy as np
import pytest
import torch

from mmwsss.models import DenseCRF, LabelBatch
from mmwsss.models.label_steps import CRF_PRESETS
from mmwsss.pseudo_labels import expand_short_forms
from mmwsss.pseudo_labels.label_cfg import uses_workers


def smooth(rng, size, channels):
    small = rng.random((4, 5, channels), dtype=np.float32)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 1).reshape(*size, channels)


@pytest.fixture
def scene():
    """Return an image (H, W, 3) with noise and three planes of probabilities (3, H, W)."""
    rng = np.random.default_rng(0)
    image = 255 * smooth(rng, (45, 60), 3) + rng.normal(0, 4, (45, 60, 3))
    probs = np.exp(3 * smooth(rng, (45, 60), 3)).transpose(2, 0, 1)
    return image.clip(0, 255).astype(np.uint8), (probs / probs.sum(axis=0)).astype(np.float32)


@pytest.mark.parametrize('preset', sorted(CRF_PRESETS))
@pytest.mark.parametrize('stride', [1, 2])
def test_marginals_and_labels_agree_with_pydensecrf(scene, preset, stride):
    pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')
    image, probs = scene
    expected = DenseCRF(preset=preset, stride=stride)(image, probs)
    found = DenseCRF(preset=preset, stride=stride, backend='torch')(image, probs)
    np.testing.assert_allclose(found, expected, atol=.02)
    assert np.abs(found - expected).mean() < 2e-4
    assert (found.argmax(axis=0) == expected.argmax(axis=0)).mean() > .999
    assert (expected.argmax(axis=0) != probs.argmax(axis=0)).mean() > .001


def test_levels_and_winners_as_a_label_step(scene):
    pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')
    image, probs = scene
    images = torch.from_numpy(image).permute(2, 0, 1)[None]
    scores = torch.from_numpy(np.stack([probs, probs[::-1].copy()]))[None]
    batch = LabelBatch(images, scores, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool), 2, True)
    for options in (dict(), dict(winners_only=True)):
        expected = DenseCRF(preset='toco_label', **options).transform(batch).scores
        found = DenseCRF(preset='toco_label', backend='torch', **options).transform(batch).scores
        torch.testing.assert_close(found, expected, atol=.02, rtol=0)


def test_it_runs_without_pydensecrf_where_the_network_runs(scene, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pydensecrf.densecrf', None)
    monkeypatch.setitem(sys.modules, 'pydensecrf', None)
    image, probs = scene
    crf = DenseCRF(backend='torch')
    np.testing.assert_allclose(crf(image, probs).sum(axis=0), 1, atol=1e-5)
    assert crf.device == 'model'
    assert crf.identity()['backend'] == 'torch'
    with pytest.raises(ImportError, match='pip install pydensecrf2'):
        DenseCRF()
    with pytest.raises(ValueError, match="backend must be 'pydensecrf' or 'torch', got 'cuda'"):
        DenseCRF(backend='cuda')


def test_folders_of_pydensecrf_stay_valid_and_workers_are_for_it_alone():
    pytest.importorskip('pydensecrf', reason='needs the optional dense CRF')
    assert 'backend' not in DenseCRF().identity()
    plain = expand_short_forms(threshold=.5, post='crf')
    on_device = expand_short_forms(threshold=.5, post='crf', crf=dict(preset='toco_label', backend='torch'))
    assert uses_workers(plain)
    assert not uses_workers(on_device)
