"""Statistics of attention heads: correlation that is computed as images come, weights, rows of single queries."""

import numpy as np
import pytest
import torch

from mmwsss.analysis import Sample, build_analysis
from mmwsss.analysis.analyses import StreamingPearson, weighted_mean
from mmwsss.analysis.analyses.observations import ClassHeadRows, LayerHeadAttention, PointHeadRows, patch_at
from mmwsss.analysis.analyses.records import decode_photo
from mmwsss.models import AttentionViT, CAMClassifier, Request, extract_features
from tests.helpers import GivenBackbone, attention_maps


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


def test_weights_of_a_model_that_fuses_heads():
    torch.manual_seed(0)
    arch = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16)
    head = dict(type='WeakTrHead', num_classes=2, in_channels=16, num_layers=3, num_heads=2)
    model = CAMClassifier(dict(type='AttentionViT', arch=arch, img_size=16, patch_size=8, num_class_tokens=2,
                               raw_output=True), head)
    model.eval()
    images = torch.randn(1, 3, 16, 24)
    sample = Sample(images, np.zeros((16, 24, 3), np.uint8), torch.tensor([0., 1]), None, 'a', {}, ('cat', 'dog'))
    analysis, _ = build_analysis('head-attention')
    with torch.no_grad():
        analysis.process(model, sample)
        request = model.cam_head.request(['cross_attention'])
        expected = model.cam_head.maps(extract_features(model.backbone, images, request), ['cross_attention'])
    row, = analysis.compute()['images'][0]['rows']
    assert (row['name'], row['panels'][-1]['title']) == ('dog', 'weighted mean')
    np.testing.assert_allclose(row['panels'][-1]['map'], expected['cross_attention'][0, 1], rtol=1e-3)


def test_a_crop_around_an_uncertain_place():
    torch.manual_seed(0)
    backbone = dict(type='AttentionViT', img_size=16, patch_size=8,
                    arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16))
    model = CAMClassifier(backbone, dict(type='ToCoHead', num_classes=2, in_channels=16, aux_layer=-2))
    model.eval()
    photo = np.arange(32 * 48 * 3, dtype=np.int64).reshape(32, 48, 3).astype(np.uint8)
    sample = Sample(torch.randn(1, 3, 32, 48), photo, torch.ones(2), None, 'a', {}, ('cat', 'dog'))
    analysis, _ = build_analysis('class-attention', dict(crop=16))
    with torch.no_grad():
        analysis.process(model, sample)
    whole, crop, local = analysis.compute()['images'][0]['rows'][0]['panels']
    assert decode_photo(crop['photo']).shape == (16, 16, 3)
    assert (np.shape(whole['map']), np.shape(local['map'])) == ((4, 6), (4, 4))


def test_heads_that_come_all_at_once():
    torch.manual_seed(0)
    attention = [torch.rand(1, 3, 6, 6).softmax(dim=3) for _ in range(2)]

    class Given(GivenBackbone):

        def given(self, images):
            return torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 4), attention

    classes, point, mean = ClassHeadRows(), PointHeadRows(point=(.9, .1)), LayerHeadAttention(function=torch.sum)
    features = extract_features(Given(), torch.zeros(1, 3, 2, 2), Request(observations=(classes, point, mean)))
    expected = torch.stack(attention, dim=1)
    torch.testing.assert_close(features[classes], expected[:, :, :, :2, 2:])
    torch.testing.assert_close(features[point], expected[:, :, :, 3:4, 2:])
    for found, maps in zip(features[mean], attention):
        torch.testing.assert_close(found, maps[:, :, 2:, 2:].sum() / 3)
