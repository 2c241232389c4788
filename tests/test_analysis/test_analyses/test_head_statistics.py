"""Statistics of attention heads: correlation that is computed as images come, weights, rows of single queries."""

import numpy as np
import pytest
import torch

from mmwsss.analysis.analyses import StreamingPearson, weighted_mean
from mmwsss.analysis.analyses.observations import ClassHeadRows, PointHeadRows, patch_at
from mmwsss.models import AttentionViT, Request, extract_features
from tests.helpers import attention_maps


def test_worked_correlation():
    pearson = StreamingPearson()
    for mean, label in zip((.30, .10, .25, .05, .20), (1, 0, 1, 0, 0)):
        pearson.update(torch.tensor(mean), torch.tensor(label))
    assert pearson.compute().item() == pytest.approx(.836428, abs=1e-6)


def test_correlation_of_tables():
    rng = np.random.default_rng(0)
    means, labels = rng.random((9, 3, 2)), rng.random((9, 2))
    pearson = StreamingPearson()
    for mean, label in zip(means, labels):
        pearson.update(torch.tensor(mean), torch.tensor(label))
    expected = [[np.corrcoef(means[:, head, k], labels[:, k])[0, 1] for k in range(2)] for head in range(3)]
    np.testing.assert_allclose(pearson.compute(), expected, atol=1e-9)


def test_a_constant_has_no_correlation():
    pearson = StreamingPearson()
    for mean in (.1, .2, .7):
        pearson.update(torch.tensor([mean, .3]), torch.tensor([1, mean]))
    assert pearson.compute().isnan().all()


def test_weighted_mean():
    rows = torch.arange(8.).view(2, 2, 2)
    weights = torch.tensor([[1., 0], [0, .5]])
    torch.testing.assert_close(weighted_mean(rows, weights), torch.tensor([(0 + .5 * 6) / 4, (1 + .5 * 7) / 4]))


@pytest.mark.parametrize(('point', 'index'), [((0, 0), 0), ((.9, .1), 2), ((.5, .9), 4), ((1, 1), 5)])
def test_patch_of_a_point(point, index):
    assert patch_at(point, (2, 3)) == index


def test_rows_of_heads():
    torch.manual_seed(0)
    arch = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16)
    backbone = AttentionViT(arch, img_size=16, patch_size=8, num_class_tokens=2)
    backbone.eval()
    images = torch.randn(1, 3, 16, 24)
    classes, point = ClassHeadRows(), PointHeadRows(point=(.5, .9))
    with torch.no_grad():
        features = extract_features(backbone, images, Request(observations=(classes, point)))
        expected = torch.stack(attention_maps(backbone, images), dim=1)
    torch.testing.assert_close(features[classes], expected[:, :, :, :2, 2:])
    torch.testing.assert_close(features[point], expected[:, :, :, 6:7, 2:])
