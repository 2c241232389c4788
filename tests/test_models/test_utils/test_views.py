import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from mmwsss.models import MultiViewPreProcessor
from mmwsss.models.utils import fuse_views, normalize_cams, resize_maps, resize_photos, view_sizes


def fake_maps(images):
    pooled = F.avg_pool2d(images[:, 0], 2)
    return dict(cams=torch.stack([pooled - 1, 1 - pooled], dim=1))


IMAGE = torch.tensor([[0, 1, 2, 3.], [1, 2, 3, 4], [0, 0, 5, 0], [1, 1, 1, 1]]).expand(1, 3, 4, 4)
ONE_SCALE = [[0, .249999, .749996, .999995], [0, .164062, .617184, .843746], [0, 0, .351561, .531247],
             [0, 0, .218749, .374998]]
THREE_SCALES = [[[0, .195312, .679686, .999997], [0, .232910, .657225, .843748], [0, .137695, .434325, .505858],
                 [0, .035156, .173828, .203124]],
                [[.666658, 0, 0, 0], [.729157, 0, 0, 0], [.937488, .020833, 0, 0], [.999987, .249997, 0, 0]]]


@pytest.mark.parametrize('own_view', [None, fake_maps(IMAGE)], ids=['computed', 'given'])
def test_multi_scale_cam(own_view):
    def normalized(scales):
        fused = fuse_views(fake_maps, IMAGE, scales, relu=True, own_view=own_view)
        return normalize_cams(fused['cams'], 'minmax')[0]

    torch.testing.assert_close(normalized((1.0, ))[0], torch.tensor(ONE_SCALE), atol=2e-6, rtol=0)
    torch.testing.assert_close(normalized((1.0, 0.5, 1.5)), torch.tensor(THREE_SCALES), atol=2e-6, rtol=0)


@pytest.mark.parametrize('flip_fusion', ['sum', 'max', 'mean'])
@pytest.mark.parametrize('scale_fusion', ['sum', 'max', 'mean'])
def test_fusions_against_a_loop(flip_fusion, scale_fusion):
    torch.manual_seed(0)
    images = torch.rand(2, 3, 12, 8)
    fuse = dict(sum=lambda maps: sum(maps), max=lambda maps: torch.stack(maps).amax(0),
                mean=lambda maps: torch.stack(maps).mean(0))
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

    fuse_views(record, IMAGE, (1.0, 0.5), flip=False, own_view=fake_maps(IMAGE))
    assert sizes == [(1, 3, 2, 2)]


def test_bad_arguments():
    with pytest.raises(ValueError, match='flip_fusion'):
        fuse_views(fake_maps, IMAGE, flip_fusion='median')
    with pytest.raises(ValueError, match='scales'):
        fuse_views(fake_maps, IMAGE, scales=())


def test_view_sizes():
    assert view_sizes((375, 500), (1, 0.5)) == [(375, 500), (187, 250)]
    assert view_sizes((375, 500), (0.5, 1.0, 0.01), divisor=16) == [(192, 256), (368, 496), (16, 16)]
    assert view_sizes((375, 500), (1, ), sizes=[[256, 256], [512, 512]]) == [(256, 256), (512, 512)]


def test_rounding_of_view_sizes():
    assert view_sizes((333, 500), (1, .8, 1.2), rounding='nearest') == [(333, 500), (266, 400), (400, 600)]
    assert view_sizes((333, 500), (1, .8, 1.2), rounding='down') == [(333, 500), (266, 400), (399, 600)]
    assert view_sizes((375, 501), (.5, ), rounding='nearest') == [(188, 250)], 'halves go to the even neighbor'
    assert view_sizes((375, 500), (1, ), divisor=16) == [(368, 496)]
    assert view_sizes((375, 500), (1, ), divisor=16, rounding='down') == [(368, 496)]
    assert view_sizes((383, 500), (1, ), divisor=16, rounding='down') == [(368, 496)]
    with pytest.raises(ValueError, match='rounding'):
        view_sizes((375, 500), (1, ), rounding='up')


def test_views_of_fixed_sizes():
    seen = []

    def record(images):
        seen.append(tuple(images.shape))
        return fake_maps(images)

    images = torch.rand(2, 3, 12, 8)
    fused = fuse_views(record, images, sizes=((6, 6), (12, 8)), flip_fusion='sum')
    assert seen == [(4, 3, 6, 6), (4, 3, 12, 8)]
    assert fused['cams'].shape == (2, 2, 12, 8)
    seen.clear()
    fuse_views(record, images, sizes=((6, 6), (12, 8)), own_view=fake_maps(images), flip=False)
    assert seen == [(2, 3, 6, 6)]


@pytest.mark.parametrize('size', [(48, 48), (96, 96), (150, 90)])
def test_photos_are_resized_as_pillow_does(size):
    """Noise, so that both directions of resizing and the clipping of overshoots matter."""
    rng = np.random.default_rng(0)
    picture = rng.choice([0, 40, 255], (75, 100, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.BICUBIC)).astype(np.float32)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    preprocessor = MultiViewPreProcessor(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    black, white = preprocessor.color_range()
    normalized = (image - preprocessor.mean) / preprocessor.std
    got = preprocessor.denormalize(resize_photos(normalized, size, black, white))
    gap = (got[0].permute(1, 2, 0) - torch.from_numpy(expected)).abs()
    assert gap.max() < 1e-3, 'every level is that of Pillow'
    plain = resize_maps(image, size)
    assert (plain[0].permute(1, 2, 0) - torch.from_numpy(expected)).abs().max() > 20


@pytest.mark.parametrize('flip', [True, False])
def test_views_are_padded_after_mirroring(flip):
    """Padding lies at the right and bottom of every view, and does not take part in what is returned."""
    seen = []

    def record(views):
        seen.append(views)
        return dict(cams=F.avg_pool2d(views[:, :1] + 1, 16))

    images = torch.rand(1, 3, 375, 500)
    fused = fuse_views(record, images, flip=flip, flip_fusion='sum', pad_divisor=16)['cams']
    views = seen[0]
    assert views.shape == (1 + flip, 3, 384, 512)
    expected = [images, images.flip(-1)][:1 + flip]
    assert torch.equal(views[..., :375, :500], torch.cat(expected))
    assert views[..., 375:, :].eq(0).all()
    assert views[..., 500:].eq(0).all()
    maps = F.interpolate(record(views)['cams'], size=(384, 512), mode='bilinear')[..., :375, :500]
    torch.testing.assert_close(fused, maps[:1] + maps[1:].flip(-1) if flip else maps)


def test_padding_is_mirrored_if_asked():
    seen = []

    def record(views):
        seen.append(views)
        return dict(cams=F.avg_pool2d(views[:, :1] + 1, 16))

    images = torch.rand(1, 3, 20, 40)
    fused = fuse_views(record, images, flip_fusion='sum', pad_divisor=16, mirror_padded=True)['cams']
    padded = F.pad(images, (0, 8, 0, 12))
    assert torch.equal(seen[0], torch.cat([padded, padded.flip(-1)]))
    maps = F.interpolate(record(seen[0])['cams'], size=(32, 48), mode='bilinear')
    torch.testing.assert_close(fused, (maps[:1] + maps[1:].flip(-1))[..., :20, :40])


def test_a_given_view_has_the_padding():
    images = torch.rand(1, 3, 10, 13)
    given = fake_maps(F.pad(images, (0, 3, 0, 6)))
    options = dict(flip_fusion='sum', pad_divisor=8)
    torch.testing.assert_close(fuse_views(fake_maps, images, own_view=given, **options)['cams'],
                               fuse_views(fake_maps, images, **options)['cams'])


def test_own_view_is_taken_as_given_and_its_mirror_image_is_not():
    """At its own size alone: the mirror image there, and both at other sizes, are computed."""
    seen = []

    def record(images):
        seen.append(images)
        return fake_maps(images)

    given = {'cams': torch.full((1, 2, 2, 2), 7.)}
    images = IMAGE.contiguous()
    fused = fuse_views(record, images, (1.0, 0.5), flip_fusion='max', own_view=given)
    assert torch.equal(seen[0], images.flip(-1))
    assert [len(views) for views in seen] == [1, 2]
    half = fuse_views(fake_maps, images, (0.5, ), flip_fusion='max')
    torch.testing.assert_close(fused['cams'], 7 + half['cams'])
