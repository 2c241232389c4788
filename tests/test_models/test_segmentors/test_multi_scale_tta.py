import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.structures import SegDataSample
from PIL import Image
from torch.nn import functional as F

from mmwsss.models import MultiScaleTTA
from mmwsss.registry import MODELS
from tests.helpers import tiny_segmentor

SIZE = (40, 48)


@pytest.fixture
def segmentor():
    torch.manual_seed(0)
    return MODELS.build(ConfigDict(tiny_segmentor())).eval()


def batch(path='image.png'):
    torch.manual_seed(1)
    image = (torch.rand(3, *SIZE) * 255).byte()
    sample = SegDataSample(metainfo=dict(img_path=str(path), ori_shape=(20, 24), img_shape=SIZE))
    return dict(inputs=[image], data_samples=[sample])


def enlarged(maps, size):
    return F.interpolate(maps, size=size, mode='bilinear', align_corners=False)


@pytest.mark.parametrize(('flip_fusion', 'scale_fusion'), [('sum', 'max'), ('max', 'sum')])
def test_logits_of_views_are_fused_at_the_image_s_size(segmentor, flip_fusion, scale_fusion):
    fuse = dict(sum=lambda maps: maps.sum(0), max=lambda maps: maps.amax(0))
    image = segmentor.data_preprocessor(batch(), False)['inputs']
    scales = []
    for size in ((40, 48), (60, 72)):
        with torch.no_grad():
            views = [segmentor(enlarged(view, size), mode='tensor') for view in (image, image.flip(-1))]
        plain, mirrored = (enlarged(logits, (20, 24)) for logits in views)
        scales.append(fuse[flip_fusion](torch.stack([plain, mirrored.flip(-1)])))
    expected = fuse[scale_fusion](torch.stack(scales))[0]
    model = MultiScaleTTA(segmentor, scales=(1.0, 1.5), flip_fusion=flip_fusion, scale_fusion=scale_fusion)
    sample, = model.test_step(batch())
    torch.testing.assert_close(sample.seg_logits.data, expected)
    assert torch.equal(sample.pred_sem_seg.data, expected.argmax(0, keepdim=True))


def test_padding_is_cut_off(segmentor):
    model = MultiScaleTTA(segmentor, scales=(1.0, 0.5))
    expected = model.test_step(batch())[0].seg_logits.data
    segmentor.data_preprocessor.test_cfg = dict(size=(64, 64))
    assert segmentor.data_preprocessor(batch(), False)['inputs'].shape[-2:] == (64, 64)
    torch.testing.assert_close(model.test_step(batch())[0].seg_logits.data, expected)


def test_the_refiner_sees_the_image_and_probabilities(segmentor, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'image.png')
    seen = []

    def last_class(image, probs):
        seen.append((image, probs))
        return F.one_hot(torch.full((20, 24), 2), 3).permute(2, 0, 1)

    model = MultiScaleTTA(segmentor, scales=(1.0, ))
    model.post = last_class
    sample, = model.test_step(batch(tmp_path / 'image.png'))
    (image, probs), = seen
    np.testing.assert_array_equal(image, pixels)
    torch.testing.assert_close(probs, sample.seg_logits.data.softmax(0))
    assert (sample.pred_sem_seg.data == 2).all()
