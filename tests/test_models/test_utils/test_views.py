import pytest
import torch
from torch.nn import functional as F

from mmwsss.models.utils import fuse_views, normalize_cams


def fake_maps(images):
    pooled = F.avg_pool2d(images[:, 0], 2)
    return dict(cams=torch.stack([pooled - 1, 1 - pooled], dim=1))


IMAGE = torch.tensor([[0, 1, 2, 3.], [1, 2, 3, 4], [0, 0, 5, 0], [1, 1, 1, 1]]).expand(1, 3, 4, 4)
ONE_SCALE = [[0, .249999, .749996, .999995], [0, .164062, .617184, .843746], [0, 0, .351561, .531247],
             [0, 0, .218749, .374998]]
THREE_SCALES = [[[0, .195312, .679686, .999997], [0, .232910, .657225, .843748], [0, .137695, .434325, .505858],
                 [0, .035156, .173828, .203124]],
                [[.666658, 0, 0, 0], [.729157, 0, 0, 0], [.937488, .020833, 0, 0], [.999987, .249997, 0, 0]]]


@pytest.mark.parametrize('known', [False, True])
def test_multi_scale_cam(known):
    def normalized(scales):
        fused = fuse_views(fake_maps, IMAGE, scales, relu=True, known=fake_maps(IMAGE) if known else None)
        return normalize_cams(fused['cams'], 'minmax')[0]

    torch.testing.assert_close(normalized((1.0, ))[0], torch.tensor(ONE_SCALE), atol=2e-6, rtol=0)
    torch.testing.assert_close(normalized((1.0, 0.5, 1.5)), torch.tensor(THREE_SCALES), atol=2e-6, rtol=0)


@pytest.mark.parametrize('flip_fusion', ['sum', 'max'])
@pytest.mark.parametrize('scale_fusion', ['sum', 'max'])
def test_fusions_against_a_loop(flip_fusion, scale_fusion):
    torch.manual_seed(0)
    images = torch.rand(2, 3, 12, 8)
    fuse = dict(sum=lambda maps: sum(maps), max=lambda maps: torch.stack(maps).amax(0))
    by_scale = []
    for scale in (1.0, 1.5):
        scaled = F.interpolate(images, size=(int(12 * scale), int(8 * scale)), mode='bilinear')
        pair = [fake_maps(scaled)['cams'], fake_maps(scaled.flip(3))['cams']]
        pair = [F.interpolate(maps, size=(20, 10), mode='bilinear') for maps in pair]
        by_scale.append(fuse[flip_fusion]([pair[0], pair[1].flip(3)]))
    fused = fuse_views(fake_maps, images, (1.0, 1.5), True, flip_fusion, scale_fusion, size=(20, 10))
    torch.testing.assert_close(fused['cams'], fuse[scale_fusion](by_scale))


def test_without_flip_the_function_sees_each_scale_once():
    sizes = []

    def record(images):
        sizes.append(tuple(images.shape))
        return fake_maps(images)

    fuse_views(record, IMAGE, (1.0, 0.5), flip=False, known=fake_maps(IMAGE))
    assert sizes == [(1, 3, 2, 2)]


def test_bad_arguments():
    with pytest.raises(ValueError, match='flip_fusion'):
        fuse_views(fake_maps, IMAGE, flip_fusion='mean')
    with pytest.raises(ValueError, match='scales'):
        fuse_views(fake_maps, IMAGE, scales=())
