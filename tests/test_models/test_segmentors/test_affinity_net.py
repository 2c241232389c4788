"""AffinityNet: its affinities, training signal and walk, with a narrow network."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from mmwsss.models import AffinityNet
from mmwsss.models.utils import pair_affinity, random_walk, resize_maps
from mmwsss.registry import MODELS


def tiny_net(**test_cfg):
    torch.manual_seed(0)
    net = MODELS.build(dict(
        type='AffinityNet',
        backbone=dict(type='WideResNet38', base_channels=2, frozen_stages=2),
        affinity_head=dict(type='AffinityHead', in_channels=(16, 32, 128), channels=(4, 4, 8)),
        test_cfg=test_cfg))
    net.init_weights()
    return net.eval()


def samples_of(labels):
    return [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in labels]


def test_parameters_of_the_published_network():
    with torch.device('meta'):
        net = AffinityNet(backbone=dict(type='WideResNet38', frozen_stages=2), affinity_head=dict(type='AffinityHead'))
    assert sum(value.numel() for value in net.parameters()) == 106_484_032
    assert len(net.state_dict()) == 232
    frozen = {name.split('.')[1] for name, value in net.named_parameters()
              if not value.requires_grad and 'conv' in name}
    assert frozen == {'conv1a', 'b2', 'b2_1', 'b2_2'}


@pytest.mark.parametrize('size', [(48, 80), (45, 77), (10, 10)])
def test_affinity_matrix(size):
    """Images are padded with zeros to whole cells, and to 5 x 9 cells."""
    net, images = tiny_net(), torch.randn(2, 3, *size)
    padded = torch.zeros(2, 3, *((48, 80) if size[0] > 10 else (40, 72)))
    padded[..., :size[0], :size[1]] = images
    grid = [side // 8 for side in padded.shape[-2:]]
    matrices = net.extract_affinity(images)
    assert matrices.shape == (2, grid[0] * grid[1], grid[0] * grid[1])
    assert torch.equal(matrices, matrices.mT)
    assert torch.equal(matrices.diagonal(dim1=1, dim2=2), torch.ones(2, grid[0] * grid[1]))
    features = net.affinity_head(net.backbone(padded)).flatten(2).detach()
    cells = torch.cartesian_prod(*map(torch.arange, grid))
    close = torch.cdist(cells.float(), cells.float()) < 5
    assert not matrices[:, ~close].any()
    expected = torch.exp(-(features[:, :, :, None] - features[:, :, None]).abs().mean(dim=1))
    linked = matrices > 0
    assert linked.sum() > grid[0] * grid[1]
    torch.testing.assert_close(matrices[linked], expected[linked])


def test_modes():
    net, images = tiny_net(), torch.randn(1, 3, 48, 80)
    pairs = net(images, mode='tensor')
    assert pairs.shape == (1, 34, 4)
    assert pairs.requires_grad
    with torch.no_grad():
        sample, = net(images, samples_of(torch.zeros(1, 48, 80).long()), mode='predict')
    assert torch.equal(sample.pair_affinity, pairs[0])
    assert sample.pair_grid == (6, 10)
    with pytest.raises(ValueError, match="'tensor', got 'train'"):
        net(images, mode='train')


def test_losses_are_of_the_grid_and_reach_what_is_trained():
    net = tiny_net().train()
    labels = torch.zeros(2, 6, 10).long()
    labels[0, :, 5:], labels[1] = 3, 255
    losses = net(torch.randn(2, 3, 48, 80), samples_of(labels), mode='loss')
    assert set(losses) == {'loss_background', 'loss_foreground', 'loss_negative'}
    assert all(loss.isfinite() for loss in losses.values())
    assert losses['loss_negative'] > 0
    sum(losses.values()).backward()
    for name, value in net.named_parameters():
        assert (value.grad is not None) == value.requires_grad, name
        assert value.requires_grad == (not any(part in name for part in ('bn', 'conv1a', '.b2.', '.b2_1.', '.b2_2.')))


def test_nothing_known_in_the_batch():
    net = tiny_net().train()
    losses = net(torch.randn(1, 3, 48, 80), samples_of(torch.full((1, 6, 10), 255)), mode='loss')
    assert [loss.item() for loss in losses.values()] == [0, 0, 0]
    sum(losses.values()).backward()
    assert net.affinity_head.f9.weight.grad.isfinite().all()


def test_labels_at_full_size_are_refused():
    with pytest.raises(ValueError, match=r'labels have 48 x 80 cells.*6 x 10: .*PoolAffinityLabels'):
        tiny_net()(torch.randn(1, 3, 48, 80), samples_of(torch.zeros(1, 48, 80).long()), mode='loss')


def test_a_step_of_training_lowers_the_loss():
    net = tiny_net()
    images = torch.randn(1, 3, 48, 80)
    images[..., 40:] += 3
    labels = torch.zeros(1, 6, 10).long()
    labels[..., 5:] = 1
    optimizer = torch.optim.SGD(net.affinity_head.parameters(), lr=1.)
    found = []
    for _ in range(20):
        loss = sum(net(images, samples_of(labels), mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.7 * found[0]


@pytest.mark.parametrize('size', [(48, 80), (45, 75), (20, 30)])
def test_walk_is_the_published_one(size):
    net = tiny_net(beta=4, log2_steps=3)
    image, scores = torch.randn(1, 3, *size), torch.rand(3, *size)
    walked = net.walk_cams(image, scores)
    grid = [max(-(-side // 8), least) for side, least in zip(size, (5, 9))]
    pad = (0, 8 * grid[1] - size[1], 0, 8 * grid[0] - size[0])
    cells = F.avg_pool2d(F.pad(scores, pad), 8)
    weights = net.extract_affinity(image)[0]**4
    transition = torch.linalg.matrix_power(weights / weights.sum(dim=0), 8)
    expected = (cells.flatten(1) @ transition).view_as(cells)
    expected = F.interpolate(expected[None], scale_factor=8, mode='bilinear')[0, :, :size[0], :size[1]]
    assert walked.shape == scores.shape
    torch.testing.assert_close(walked, expected)


@pytest.mark.parametrize(('size', 'radius', 'grid'), [
    ((88, 90), 5, (11, 12)), ((80, 200), 4, (10, 25)), ((70, 64), 3, (9, 8)), ((24, 100), 2, (3, 13)),
    ((9, 9), 2, (2, 3))])
def test_radius_shrinks_on_small_images(size, radius, grid):
    """With fewer than 11 cells, TransCAM's walk links cells up to (n - 1) // 2 apart, and nothing else changes."""
    net, images = tiny_net(shrink_radius=True, beta=2, log2_steps=1), torch.randn(1, 3, *size)
    assert net.inference_radius(size) == radius
    assert net.grid(size) == grid
    assert tiny_net().inference_radius(size) == 5
    linked = net.extract_affinity(images)[0] > 0
    cells = torch.cartesian_prod(*map(torch.arange, grid)).float()
    distances = torch.cdist(cells, cells)
    assert not linked[distances >= radius].any()
    assert linked[(distances < radius) & (distances > radius - 1.5)].any()
    assert net.walk_cams(images, torch.rand(2, *size)).shape == (2, *size)
    sample, = net(images, samples_of(torch.zeros(1, *size).long()), mode='predict')
    assert (sample.pair_radius, sample.pair_grid) == (radius, grid)


def test_padding_can_be_kept():
    net = tiny_net()
    image, scores = torch.randn(1, 3, 45, 75), torch.rand(2, 45, 75)
    whole = net.walk_cams(image, scores, keep_padding=True)
    assert whole.shape == (2, 48, 80)
    assert torch.equal(whole[:, :45, :75], net.walk_cams(image, scores))


def test_defaults_of_the_walk():
    net = tiny_net()
    image, scores = torch.randn(1, 3, 48, 80), torch.rand(2, 48, 80)
    cells = random_walk(F.avg_pool2d(scores, 8), net.extract_affinity(image)[0], beta=8, log2_steps=6)
    torch.testing.assert_close(net.walk_cams(image, scores), resize_maps(cells[None], (48, 80))[0])


def test_image_and_maps_have_one_size():
    with pytest.raises(ValueError, match=r'got \(1, 3, 48, 80\) and \(2, 48, 81\)'):
        tiny_net().walk_cams(torch.randn(1, 3, 48, 80), torch.rand(2, 48, 81))


def test_maps_stay_on_their_side_of_an_edge():
    """Features that part an image in two keep a map from crossing, and even it out on its side."""
    net = tiny_net()
    step = (torch.arange(10.) >= 5).float().expand(1, 4, 6, 10) * 5
    net.backbone.forward = lambda images: step
    net.affinity_head.forward = lambda maps: maps
    scores = torch.zeros(1, 48, 80)
    scores[:, 16:24, 24:40] = 1
    assert (pair_affinity(step) < 0.01).any()
    walked = net.walk_cams(torch.zeros(1, 3, 48, 80), scores)[0]
    assert walked[:, 48:].max() < 0.01
    assert walked[30, 32] > 0.05
