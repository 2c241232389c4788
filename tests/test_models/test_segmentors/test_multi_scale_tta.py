import copy
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmseg.models import SegTTAModel
from mmseg.structures import SegDataSample
from PIL import Image
from torch.nn import functional as F

from mmwsss.models import LabelStep, MultiScaleTTA
from mmwsss.models.utils import resize_by_factor
from mmwsss.registry import MODELS
from tests.helpers import tiny_segmentor

SIZE = (40, 48)


@MODELS.register_module()
class SeenStep(LabelStep):
    """Calls a function with image (H, W, 3) and probabilities (K, H, W), and takes what it gives for scores."""

    needs = ('background', )

    def __init__(self, call):
        self.call = call

    def transform(self, batch):
        scores = self.call(batch.images[0].permute(1, 2, 0).numpy(), batch.scores[0, 0])
        return replace(batch, scores=scores[None, None].float())


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


@pytest.mark.parametrize(('flip_fusion', 'scale_fusion'), [('sum', 'max'), ('max', 'sum'), ('mean', 'mean')])
def test_logits_of_views_are_fused_at_the_image_s_size(segmentor, flip_fusion, scale_fusion):
    fuse = dict(sum=lambda maps: maps.sum(0), max=lambda maps: maps.amax(0), mean=lambda maps: maps.mean(0))
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

    model = MultiScaleTTA(segmentor, scales=(1.0, ), steps=[dict(type='SeenStep', call=last_class)])
    kept = batch('nowhere.png')
    kept['data_samples'][0].set_metainfo(dict(image=pixels))
    for data in (batch(tmp_path / 'image.png'), kept):
        sample, = model.test_step(data)
        image, probs = seen.pop()
        np.testing.assert_array_equal(image, pixels)
        torch.testing.assert_close(probs, sample.seg_logits.data.softmax(0))
        assert (sample.pred_sem_seg.data == 2).all()
    with pytest.raises(ValueError, match='nowhere.png cannot be read again: put KeepImage behind LoadImageFromFile'):
        model.test_step(batch('nowhere.png'))


def logits_of(segmentor, image, scale, size, **resize):
    """One view's logits at the image's size, corners of the logits aligned as the decode head has it."""
    view = F.interpolate(image, size=[int(scale * side) for side in SIZE], **resize)
    with torch.no_grad():
        return F.interpolate(segmentor(view, mode='tensor'), size=size, mode='bilinear',
                             align_corners=segmentor.align_corners)


def test_maximum_of_probabilities_as_mctformer_segments(segmentor):
    """Five scales, no mirror image; corners of views are aligned, those of logits are not."""
    scales = (0.5, 0.75, 1.0, 1.25, 1.5)
    image = segmentor.data_preprocessor(batch(), False)['inputs']
    best = None
    for scale in scales:
        probs = logits_of(segmentor, image, scale, (20, 24), mode='bilinear', align_corners=True).softmax(dim=1)[0]
        best = probs if best is None else torch.maximum(best, probs)
    model = MultiScaleTTA(segmentor, scales=scales, flip=False, scale_fusion='max', probabilities=True,
                          view_resize=dict(mode='bilinear', align_corners=True))
    sample, = model.test_step(batch())
    torch.testing.assert_close(sample.seg_logits.data, best)
    assert (best.sum(dim=0) > 1.001).any()


def test_mean_of_logits_as_transcam_segments(segmentor):
    """Six scales and mirror images; views are OpenCV's, logits pass through the size of the view, corners aligned."""
    segmentor.align_corners = True
    scales = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
    image = segmentor.data_preprocessor(batch(), False)['inputs'][..., :35, :47]
    pixels = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy())
    views = []
    for scale in scales:
        scaled = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        view = torch.from_numpy(scaled).permute(2, 0, 1)[None]
        for mirrored in (False, True):
            with torch.no_grad():
                logits = segmentor(view.flip(-1) if mirrored else view, mode='tensor')
            for size in (view.shape[-2:], (20, 24)):
                logits = F.interpolate(logits, size=size, mode='bilinear', align_corners=True)
            views.append(logits[0].flip(-1) if mirrored else logits[0])
    model = MultiScaleTTA(segmentor, scales=scales, flip_fusion='mean', scale_fusion='mean', via_view_size=True,
                          view_resize=dict(backend='cv2', interpolation='bicubic'))
    data = batch()
    data['inputs'] = [data['inputs'][0][:, :35, :47]]
    sample, = model.test_step(data)
    torch.testing.assert_close(sample.seg_logits.data, torch.stack(views).mean(dim=0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(('side', 'factor', 'expected'), [
    (375, .5, 188), (375, 1.25, 469), (333, .75, 250), (333, 1.5, 500), (333, 1.75, 583), (333, 1, 333)])
def test_sizes_of_opencv(side, factor, expected):
    assert resize_by_factor(torch.zeros(2, 3, side, 4), factor).shape == (2, 3, expected, round(4 * factor))


def test_opencv_steps_by_the_factor():
    """From 5 pixels at one half, 2 remain, which are 2 pixels apart, not 2.5."""
    ramp = torch.arange(5.).expand(1, 3, 5, 5)
    assert resize_by_factor(ramp, .5, 'bilinear')[0, 0, 0].tolist() == [.5, 2.5]
    assert resize_by_factor(ramp, 1) is ramp
    with pytest.raises(ValueError, match='factor must be positive, got 0'):
        resize_by_factor(ramp, 0)
    with pytest.raises(ValueError, match="got 'cubic'"):
        resize_by_factor(ramp, 2, 'cubic')


class _TwoScales(BaseModel):
    """The worked example's logits, by the size of the view."""

    test_cfg = dict(mode='whole')

    def forward(self, images, mode):
        logits = [2., 1., 0.] if images.shape[-1] == 2 else [0., 3., 1.]
        return torch.tensor(logits)[None, :, None, None].expand(-1, -1, *images.shape[-2:])


@pytest.mark.parametrize('post', [None, 'seen'])
def test_worked_example_of_fused_probabilities(tmp_path, post):
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / 'image.png')
    steps = [dict(type='SeenStep', call=lambda image, probs: probs)] if post else None
    model = MultiScaleTTA(_TwoScales(), scales=(1.0, 2.0), flip=False, scale_fusion='max', probabilities=True,
                          steps=steps)
    sample = SegDataSample(metainfo=dict(img_path=str(tmp_path / 'image.png'), ori_shape=(2, 2), img_shape=(2, 2)))
    sample, = model.test_step(dict(inputs=torch.zeros(1, 3, 2, 2), data_samples=[sample]))
    expected = torch.tensor([.665241, .843795, .114195])
    torch.testing.assert_close(sample.seg_logits.data[:, 1, 0], expected, atol=1e-6, rtol=0)
    assert sample.seg_logits.data[:, 0, 0].sum() == pytest.approx(1.623231, abs=2e-6)
    assert (sample.pred_sem_seg.data == 1).all()


def test_the_refiner_sees_fused_probabilities_as_they_are(segmentor, tmp_path):
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(tmp_path / 'image.png')
    seen = []
    steps = [dict(type='SeenStep', call=lambda image, probs: seen.append(probs) or probs)]
    model = MultiScaleTTA(segmentor, scales=(0.5, 1.0), flip=False, probabilities=True, steps=steps)
    sample, = model.test_step(batch(tmp_path / 'image.png'))
    assert torch.equal(seen[0], sample.seg_logits.data)


def test_views_of_the_pipeline_are_averaged_as_in_mmseg(segmentor):
    """Two views of one image, whose probabilities are averaged; the steps follow."""
    views = [batch() for _ in range(2)]
    views[1]['inputs'] = [views[1]['inputs'][0].flip(-1)]
    data = {key: [view[key] for view in views] for key in ('inputs', 'data_samples')}
    with torch.no_grad():
        expected = SegTTAModel(segmentor).test_step(copy.deepcopy(data))[0]
        plain = MultiScaleTTA(segmentor, views='pipeline').test_step(copy.deepcopy(data))[0]
    assert torch.equal(plain.seg_logits.data.argmax(0)[None], plain.pred_sem_seg.data)
    assert torch.equal(plain.pred_sem_seg.data, expected.pred_sem_seg.data)
    for sample in (views[0]['data_samples'][0], views[1]['data_samples'][0]):
        sample.set_metainfo(dict(image=np.zeros((20, 24, 3), np.uint8)))
    seen = []
    steps = [dict(type='SeenStep', call=lambda image, probs: seen.append(probs) or probs.flip(0))]
    with torch.no_grad():
        found = MultiScaleTTA(segmentor, views='pipeline', steps=steps).test_step(data)[0]
    assert torch.equal(seen[0], plain.seg_logits.data)
    torch.testing.assert_close(seen[0].sum(0), torch.ones(20, 24))
    assert torch.equal(found.pred_sem_seg.data, seen[0].flip(0).argmax(0)[None])


def test_old_and_wrong_settings_name_the_way_out(segmentor):
    with pytest.raises(TypeError, match=r"no post; instead of post=..., give steps=\[{'type': 'DenseCRF'}\]"):
        MultiScaleTTA(segmentor, post=dict(type='DenseCRF'))
    with pytest.raises(TypeError, match='no scale'):
        MultiScaleTTA(segmentor, scale=2)
    with pytest.raises(ValueError, match="'loader'"):
        MultiScaleTTA(segmentor, views='loader')
    with pytest.raises(ValueError, match="scale_fusion must be 'max', 'mean' or 'sum', got 'min'"):
        MultiScaleTTA(segmentor, scale_fusion='min')
